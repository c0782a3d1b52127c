"""From a model and an example input to a `Program`.

On shapes alone where that tells all, else by torch.export, and on numbers where that fails, too.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from secateurs.contracts import Example
from secateurs.errors import CaptureError, InputError
from secateurs.graph.places import location_of, user_line
from secateurs.graph.program import Op, Program, Value, make_op
from secateurs.graph.recorder import record
from secateurs.graph.rules import rule_of
from secateurs.graph.rules.entry import entry_of
from secateurs.layers.cut import cut
from secateurs.layers.reparametrised import reparametrised
from secateurs.layers.tensors import named_tensors
from secateurs.layers.types import layer_type
from secateurs.network.chance import WithoutChance
from secateurs.running.copies import copy_model
from secateurs.running.examples import as_arguments, outputs
from secateurs.running.functions import functions_of, named_in
from secateurs.running.quiet import quiet

_INLINED = ("wrap_with_set_grad_enabled", "wrap_with_autocast")
_CONTROL = {
    id(getattr(torch, name)) for name in ("cond", "while_loop") if hasattr(torch, name)
}  # a failed run of these spoils later ones
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


def capture(model: nn.Module, example: Example) -> Program:
    """Capture one forward pass of a copy of `model`, in the mode (train or eval) it is in.

    Raises:
        CaptureError: the model does not run on the example, or cannot be followed.

    Example:
        >>> [op.name for op in capture(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.ones(1, 2)).ops]
        ['t', 'addmm', 'relu']
    """
    check_followable(model)
    return program_of(model, example)


def program_of(model: nn.Module, example: Example) -> Program:
    """Capture a model that `check_followable` has passed.

    Raises:
        CaptureError: the model does not run on the example, or cannot be followed.
    """
    program = by_shapes(model, example)
    return program if program is not None else exported(model, example)


def check_followable(model: nn.Module) -> None:
    """Raise where a model cannot be followed, whatever its input: TorchScript, exported, quantised, lazy, meta.

    Raises:
        CaptureError: says what it is and what to give instead.

    Example:
        >>> check_followable(nn.Linear(1, 1))
    """
    for name, module in model.named_modules():
        part = f"its part '{name}'" if name else "it"
        if isinstance(module, torch.jit.ScriptModule):
            raise CaptureError(
                f"model: {part} is TorchScript, whose code cannot be changed; give the nn.Module it was made from."
            )
        if _is_exported(module):
            raise CaptureError(
                f"model: {part} comes from torch.export, whose code fixes every size; give the nn.Module it was made "
                "from."
            )
        if _is_quantised(module):
            raise CaptureError(
                f"model: {part} is quantised ({type(module).__name__}); prune the network in floating point, then "
                "quantise what comes out."
            )
    if any(_CONTROL & set(map(id, named_in(function))) for function in functions_of(model)):
        raise CaptureError(
            "model: it uses a control-flow operator of PyTorch (torch.cond, torch.while_loop, ...), which is not "
            "followed; write the branch as a Python `if`, and give one example for each path."
        )
    for name, tensor in named_tensors(model):
        if is_lazy(tensor):
            raise CaptureError(
                f"model: '{name}' has no shape yet (a lazy layer); run the model once on an input first."
            )
        if tensor.device.type == "meta":
            raise CaptureError(
                f"model: '{name}' is on the meta device and holds no numbers; load its weights first."
            )


def _is_exported(module: nn.Module) -> bool:
    """torch.export takes `eval` away from what it makes."""
    made = isinstance(module, torch.fx.GraphModule) and "eval" in vars(module)
    return made or type(module).__name__ == "UnflattenedModule"


def _is_quantised(module: nn.Module) -> bool:
    home = type(module).__module__
    return home.startswith(("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized", "torch.nn.quantized"))


class _Whole(nn.Module):
    """A model that returns all its output tensors as a list, as torch.export wants it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """One pass; what stops it is wrapped, as torch.export would print the code it has made so far."""
        try:
            with WithoutChance():
                return outputs(self.model, args, kwargs)
        except Exception as error:
            raise _Stopped(error) from error


class _Stopped(Exception):
    """The model's own code failed under torch.export, or torch.export on it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "partial_fx_graph":  # torch.export prints what is kept under this name
            super().__setattr__(name, value)


def exported(model: nn.Module, example: Example) -> Program:
    """Capture by torch.export, or, where that fails, by running the model.

    Raises:
        CaptureError: the model does not run on the example, or cannot be followed.
    """
    args, kwargs = as_arguments(example)
    own = {id(t): t for _, t in named_tensors(model)}
    try:
        with quiet(), torch.no_grad():
            whole = torch.export.export(_Whole(copy_model(model, own)), args, kwargs, strict=False)
        return _Reader(whole.graph_signature, model).read(whole.graph)
    except Exception as error:
        reason = getattr(error, "error", error)
        return recorded(model, example, type(reason).__name__)


def by_shapes(model: nn.Module, example: Example) -> Program | None:
    """The quick way for plain convolutional networks: run a copy without numbers and write down what it does.

    Operations arrive taken apart here (attention as products, recurrent layers as steps), so that
    torch.export's larger ones tell more; where there are such, or anything without a rule, None is returned.
    """
    if any(layer_type(module).larger for module in model.modules()):
        return None
    if next(reparametrised(model), None) is not None:
        return None
    try:
        args, kwargs = pytree.tree_map_only(Tensor, lambda x: x.to("meta"), as_arguments(example))
        copied = cut(model, {}, {}, lambda tensor: tensor.to("meta"))
        program = record(copied, args, kwargs, strict=True)
    except Exception:  # code that looks at numbers, say
        return None
    derived = set(program.state)
    for op in program.ops:
        values = list(op.values())
        if values and (rule_of(op) is None or entry_of(op).larger):
            return None
        if values and all(v in derived for v in values):
            derived.update(v for v in op.outs if v is not None)
        elif entry_of(op).kind == "product" and not any(v in derived for v in values[-2:]):
            return None
    return program


def recorded(model: nn.Module, example: Example, export_error: str = "") -> Program:
    """Capture by running a copy of the model and writing down what it does.

    Raises:
        CaptureError: the model does not run on the example.
    """
    args, kwargs = pytree.tree_map_only(Tensor, torch.clone, as_arguments(example))
    try:
        return record(copy_model(model), args, kwargs)
    except InputError:
        raise
    except Exception as error:
        raise CaptureError(_sentence(error, export_error)) from error


def _sentence(error: Exception, export_error: str) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    where = location_of(error)
    return (
        f"model: it could not be run on the example input{f' ({where})' if where else ''}: {first} "
        f"(torch.export said: {export_error or 'nothing'}). Check the input's shape and type, and that the "
        "model's forward runs by itself."
    )


@dataclass
class _Reader:
    """Turns the nodes of an exported graph into operations."""

    signature: Any
    model: nn.Module

    def read(self, graph: torch.fx.Graph) -> Program:
        self.ops: list[Op] = []
        self.values: dict[torch.fx.Node, Any] = {}
        self.state: dict[Value, str] = {}
        self.constants: set[Value] = set()
        found = {**self.signature.inputs_to_parameters, **self.signature.inputs_to_buffers}
        names = {key: name.removeprefix("model.") for key, name in found.items()}
        lifted = dict(getattr(self.signature, "inputs_to_lifted_tensor_constants", {}))
        for node in graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self._placeholder(node, names, lifted)
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "get_attr":
                self.values[node] = getattr(graph.owning_module, node.target, None)
            else:
                outputs = tuple(self._resolve(a) for a in node.args)
        flat = [v for v in pytree.tree_leaves(outputs) if isinstance(v, Value)]
        return Program(tuple(self.ops), self.state, tuple(flat), constants=frozenset(self.constants))

    def _placeholder(self, node: torch.fx.Node, names: dict[str, str], lifted: dict[str, str]) -> Any:
        meta = node.meta.get("val")
        if not isinstance(meta, Tensor):
            return meta
        value = Value(tuple(int(s) for s in meta.shape))
        if node.name in names:
            self.state[value] = names[node.name]
        elif node.name in lifted:
            self.constants.add(value)
        return value

    def _resolve(self, item: Any) -> Any:
        if isinstance(item, torch.fx.Node):
            return self.values.get(item)
        if isinstance(item, (list, tuple)):
            return [self._resolve(part) for part in item]
        if isinstance(item, dict):
            return {k: self._resolve(part) for k, part in item.items()}
        if isinstance(item, slice):
            return slice(self._resolve(item.start), self._resolve(item.stop), self._resolve(item.step))
        return item

    def _call(self, node: torch.fx.Node) -> None:
        target: Any = node.target
        if target is operator.getitem:
            source, index = self._resolve(node.args[0]), cast(int, node.args[1])
            self.values[node] = source[index] if isinstance(source, (list, tuple)) else source
            return
        if getattr(target, "__name__", "") in _INLINED:
            self._inline(node)
            return
        meta = node.meta.get("val")
        made = pytree.tree_map(
            lambda m: Value(tuple(int(s) for s in m.shape)) if isinstance(m, Tensor) else m, meta
        )
        self.values[node] = list(made) if isinstance(made, (list, tuple)) else made
        outs = tuple(v if isinstance(v, Value) else None for v in pytree.tree_leaves(made))
        args = tuple(self._resolve(a) for a in node.args)
        kwargs = {k: self._resolve(v) for k, v in node.kwargs.items()}
        self.ops.append(make_op(target, args, kwargs, outs, _place(node), _module_of(node)))

    def _inline(self, node: torch.fx.Node) -> None:
        found = [i for i, a in enumerate(node.args) if isinstance(self._resolve(a), torch.fx.GraphModule)]
        inner: Any = self._resolve(node.args[found[0]])
        given = [self._resolve(a) for a in node.args[found[0] + 1 :]]
        placeholders = [n for n in inner.graph.nodes if n.op == "placeholder"]
        self.values.update(zip(placeholders, given, strict=True))
        for part in inner.graph.nodes:
            if part.op == "call_function":
                self._call(part)
            elif part.op == "get_attr":
                self.values[part] = getattr(inner, part.target, None)
            elif part.op == "output":
                result = self._resolve(part.args[0])
                self.values[node] = list(result) if isinstance(result, (list, tuple)) else result


def _place(node: torch.fx.Node) -> str:
    trace = node.meta.get("stack_trace") or ""
    return user_line([(name, int(line)) for name, line in _FRAME.findall(trace)]) if trace else ""


def _module_of(node: torch.fx.Node) -> str:
    stack = node.meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    return path.removeprefix("model").removeprefix(".")  # the whole is a part of what is exported
