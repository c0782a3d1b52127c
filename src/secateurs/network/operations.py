"""The table of operations: what each ATen operation is, and by which rule channels pass through it.

Nowhere else are operations listed (a test walks the code). A new operation is one entry here, under the kind that it
is of; where channels pass in a way of its own, a rule of that name in `graph.rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "layer",  # linear in its input, with a weight: convolutions and linear layers
    "product",  # of matrices or vectors
    "activation",  # element by element, of one tensor, the shape stays
    "arithmetic",  # element by element, of one or several tensors
    "pooling",  # what lies near in space becomes one number, or several
    "movement",  # numbers change their places, none changes its value
    "identity",  # nothing happens
    "conversion",  # to another type or device
    "dropout",  # nothing happens in evaluation
    "normalisation",
    "reduction",  # over whole axes, or along them
    "attention",
    "recurrent",
    "transform",  # of space: Fourier, affine
    "complex",
    "lookup",  # rows of a table
    "reparametrisation",  # of a weight
    "source",  # makes a tensor of constants
    "random",
    "check",  # of shapes and types
    "number",  # turns numbers of a tensor into Python's own
]


@dataclass(frozen=True)
class Operation:
    """What one operation is.

    Attributes:
        kind: See `Kind`.
        passes: The rule by which labels pass (`graph.rules.RULES`); none: element by element where PyTorch tags it so,
            else channels are locked.
        weight: Which argument is the weight of a layer or the second factor of a product; -1 for none.
        space: How many axes at the end are space.
        noun: What a reduction takes of what it reduces, in a word.
        averages: Whether a reduction weighs all alike, so that its result depends on their number.
        keeps_zero: Whether zeros go in and zeros come out, element by element: a weight may pass and be silenced.
        any_width: Whether a layer or a movement takes any number of channels, whatever it is told.
        larger: Whether torch.export shows the larger operation that this is a part of, which tells more.
        gates: Of a recurrent layer, how many.
    """

    kind: Kind
    passes: str = ""
    weight: int = -1
    space: int = 0
    noun: str = ""
    averages: bool = False
    keeps_zero: bool = False
    any_width: bool = False
    larger: bool = False
    gates: int = 0


_ZERO = replace(Operation("arithmetic"), keeps_zero=True)
_MOVED = Operation("movement")
_TABLE: tuple[tuple[str, Operation], ...] = (
    ("conv1d conv2d conv3d", Operation("layer", "convolution", weight=1, any_width=True)),
    (
        "conv_transpose1d conv_transpose2d conv_transpose3d",
        Operation("layer", "transposed convolution", weight=1),
    ),
    ("convolution _convolution", Operation("layer", "general convolution", weight=1)),
    ("linear", Operation("layer", "linear", weight=1, any_width=True)),
    ("torchvision::deform_conv2d", Operation("layer", "deformable convolution", weight=1)),
    ("matmul mm", Operation("product", "product", weight=1)),
    ("mv dot vdot", Operation("product", "product with vector", weight=1)),
    ("bmm", Operation("product", "product", weight=1, larger=True)),
    ("addmm", Operation("product", "sum with product", weight=2)),
    ("baddbmm", Operation("product", "sum with product", weight=2, larger=True)),
    ("einsum", Operation("product", "einsum")),
    ("bilinear", Operation("product", "bilinear", weight=2)),
    ("relu tanh", Operation("activation", keeps_zero=True)),
    ("silu gelu elu selu celu mish softplus sigmoid hardsigmoid", Operation("activation")),
    ("relu6 hardtanh rrelu", Operation("activation", "same")),
    ("hardswish leaky_relu log_sigmoid _prelu_kernel", Operation("activation", "pointwise")),
    ("prelu", Operation("activation", "prelu")),
    ("mul neg abs", _ZERO),
    ("add sub div clamp clamp_min exp sqrt rsqrt", Operation("arithmetic")),
    ("floor_divide fix special_expit", Operation("arithmetic", "pointwise")),
    ("glu", Operation("arithmetic", "halves")),
    (
        "max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d lp_pool1d",
        Operation("pooling", "space", space=1),
    ),
    (
        "max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d lp_pool2d",
        Operation("pooling", "space", space=2),
    ),
    (
        "max_pool3d avg_pool3d adaptive_avg_pool3d adaptive_max_pool3d lp_pool3d",
        Operation("pooling", "space", space=3),
    ),
    ("max_pool1d_with_indices", Operation("pooling", "space", space=1)),
    (
        "max_pool2d_with_indices _adaptive_avg_pool2d fractional_max_pool2d",
        Operation("pooling", "space", space=2),
    ),
    ("max_pool3d_with_indices _adaptive_avg_pool3d", Operation("pooling", "space", space=3)),
    ("upsample_linear1d", Operation("pooling", "space", space=1)),
    (
        "upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa",
        Operation("pooling", "space", space=2),
    ),
    ("upsample_trilinear3d", Operation("pooling", "space", space=3)),
    ("grid_sampler grid_sampler_2d grid_sampler_3d", Operation("pooling", "sampled")),
    ("upsample_nearest1d", Operation("movement", "space", space=1)),
    (
        "upsample_nearest2d _upsample_nearest_exact2d",
        Operation("movement", "space", space=2),
    ),
    ("upsample_nearest3d", Operation("movement", "space", space=3)),
    ("reflection_pad1d replication_pad1d", Operation("movement", "space", space=1, any_width=True)),
    ("reflection_pad2d replication_pad2d", Operation("movement", "space", space=2, any_width=True)),
    ("reflection_pad3d replication_pad3d", Operation("movement", "space", space=3, any_width=True)),
    ("max_unpool2d", Operation("movement", "unpool")),
    ("view reshape _unsafe_view unflatten", Operation("movement", "reshape")),
    ("flatten", Operation("movement", "reshape", any_width=True)),
    ("_reshape_alias view_as reshape_as ravel", Operation("movement", "reshape")),
    ("as_strided", Operation("movement", "strided")),
    ("permute", Operation("movement", "permute", any_width=True)),
    ("transpose t swapaxes swapdims numpy_T mT adjoint", Operation("movement", "transpose", any_width=True)),
    ("movedim moveaxis", Operation("movement", "movedim")),
    ("squeeze", Operation("movement", "squeeze", any_width=True)),
    ("unsqueeze", Operation("movement", "unsqueeze", any_width=True)),
    ("cat concat concatenate", Operation("movement", "cat", any_width=True)),
    ("stack", Operation("movement", "stack", any_width=True)),
    ("unbind", Operation("movement", "unbind", larger=True)),
    ("expand expand_as broadcast_to", Operation("movement", "expand")),
    ("repeat tile", Operation("movement", "repeat")),
    ("repeat_interleave", Operation("movement", "repeat_interleave")),
    ("flip", Operation("movement", "flip", any_width=True)),
    ("roll", Operation("movement", "roll")),
    ("index", Operation("movement", "index", larger=True)),
    ("index_select", Operation("movement", "index")),
    ("pad constant_pad_nd", Operation("movement", "pad", any_width=True)),
    ("pixel_shuffle", Operation("movement", "pixel_shuffle")),
    ("pixel_unshuffle", Operation("movement", "pixel_unshuffle")),
    ("channel_shuffle native_channel_shuffle", Operation("movement", "channel_shuffle")),
    ("im2col", Operation("movement", "im2col")),
    ("select", Operation("movement", "select")),
    ("slice", Operation("movement", "slice")),
    ("narrow", Operation("movement", "narrow")),
    ("chunk split split_with_sizes tensor_split unsafe_chunk unsafe_split", Operation("movement", "parts")),
    ("gather", Operation("movement", "gather")),
    ("scatter", Operation("movement", "scatter")),
    ("index_copy index_fill", Operation("movement", "index_write")),
    ("copy", Operation("movement", "copy", larger=True)),
    ("slice_scatter", Operation("movement", "slice_scatter", larger=True)),
    ("select_scatter", Operation("movement", "select_scatter", larger=True)),
    ("triu tril", Operation("movement", "triangle")),
    ("view_as_real", Operation("movement", "as_real")),
    ("view_as_complex", Operation("movement", "as_complex")),
    ("where masked_fill index_put resize", _MOVED),
    ("_reshape_copy as_strided_copy expand_copy permute_copy select_copy slice_copy squeeze_copy", _MOVED),
    ("split_with_sizes_copy unfold_copy unsafe_split_with_sizes view_copy", _MOVED),
    ("clone contiguous detach alias", Operation("identity", "same", keeps_zero=True)),
    ("lift_fresh lift_fresh_copy requires_grad detach_copy copy_to", Operation("identity", "same")),
    ("resolve_conj resolve_neg", Operation("identity", "pointwise")),
    ("to _to_copy", Operation("conversion", "same", keeps_zero=True)),
    ("type_as cpu cuda float half double bfloat16", Operation("conversion", "same")),
    ("dropout feature_dropout alpha_dropout feature_alpha_dropout", Operation("dropout", "same")),
    ("native_dropout dropout1d dropout2d dropout3d", Operation("dropout", "same")),
    ("batch_norm native_batch_norm _native_batch_norm_legit", Operation("normalisation", "batch norm")),
    (
        "_native_batch_norm_legit_no_training _native_batch_norm_legit_functional",
        Operation("normalisation", "batch norm"),
    ),
    ("cudnn_batch_norm miopen_batch_norm _batch_norm_impl_index", Operation("normalisation", "batch norm")),
    (
        "_batch_norm_with_update _batch_norm_no_update",
        Operation("normalisation", "batch norm"),
    ),
    ("instance_norm", Operation("normalisation", "instance norm")),
    ("group_norm native_group_norm", Operation("normalisation", "group norm")),
    ("layer_norm native_layer_norm rms_norm _fused_rms_norm", Operation("normalisation", "layer norm")),
    ("_weight_norm _weight_norm_interface", Operation("reparametrisation", "weight norm")),
    ("mean", Operation("reduction", "reduce", noun="mean", averages=True)),
    ("sum", Operation("reduction", "reduce", noun="sum", averages=True)),
    ("var std var_mean std_mean", Operation("reduction", "reduce", noun="variance", averages=True)),
    ("norm linalg_vector_norm", Operation("reduction", "reduce", noun="norm", averages=True)),
    ("median", Operation("reduction", "reduce", noun="median")),
    ("amax max", Operation("reduction", "reduce", noun="maximum")),
    ("amin min", Operation("reduction", "reduce", noun="minimum")),
    ("prod any all logsumexp argmax argmin nansum aminmax nanmean", Operation("reduction", "reduce")),
    ("softmax log_softmax _softmax _log_softmax softmin cumsum cumprod", Operation("reduction", "along")),
    ("scatter_add scatter_reduce", Operation("reduction", "scatter")),
    ("index_add", Operation("reduction", "index_write")),
    (
        "scaled_dot_product_attention _scaled_dot_product_flash_attention_for_cpu",
        Operation("attention", "attention"),
    ),
    ("_scaled_dot_product_attention_math", Operation("attention", "attention")),
    ("lstm", Operation("recurrent", "recurrent", gates=4)),
    ("gru", Operation("recurrent", "recurrent", gates=3)),
    ("rnn_tanh rnn_relu", Operation("recurrent", "recurrent", gates=1)),
    ("lstm_cell", Operation("recurrent", "cell", gates=4)),
    ("gru_cell", Operation("recurrent", "cell", gates=3)),
    ("rnn_tanh_cell rnn_relu_cell", Operation("recurrent", "cell", gates=1)),
    ("fft_fft fft_fft2 fft_fftn fft_ifft fft_ifft2 fft_ifftn", Operation("transform", "fourier")),
    ("fft_rfft fft_rfft2 fft_rfftn fft_irfft fft_irfft2 fft_irfftn", Operation("transform", "fourier")),
    ("fft_hfft fft_hfft2 fft_hfftn fft_ihfft fft_ihfft2 fft_ihfftn", Operation("transform", "fourier")),
    ("affine_grid_generator", Operation("transform", "affine grid")),
    ("real imag conj _conj _conj_physical conj_physical angle", Operation("complex", "pointwise")),
    ("complex polar", Operation("complex", "pointwise")),
    ("embedding", Operation("lookup", "embedding")),
    ("zeros ones full empty new_zeros new_ones new_full new_empty", Operation("source", "constant")),
    ("scalar_tensor empty_permuted", Operation("source", "constant")),
    ("zeros_like ones_like full_like empty_like", Operation("source", "like")),
    ("arange linspace eye fill zero empty_strided new_empty_strided", Operation("source")),
    ("rand randn", Operation("random", "constant")),
    ("rand_like randn_like bernoulli", Operation("random", "like")),
    ("_assert_tensor_metadata", Operation("check", "same")),
    ("sym_size sym_numel sym_storage_offset sym_stride sym_constrain_range_for_size", Operation("check")),
    ("_assert_scalar _assert_async is_same_size device", Operation("check")),
    ("item _local_scalar_dense is_nonzero equal", Operation("number")),
)
OPERATIONS: dict[str, Operation] = {name: entry for names, entry in _TABLE for name in names.split()}
"""By name as `plain_name` gives it, without the underscore of operations that write in place."""


def kind_of(name: str) -> Kind | None:
    """The kind of an operation, in place or not; None for one that is not in the table.

    Example:
        >>> kind_of("relu_"), kind_of("conv2d"), kind_of("mylib::conv2d")
        ('activation', 'layer', None)
    """
    entry = OPERATIONS.get(name) or OPERATIONS.get(name.removesuffix("_"))
    return None if entry is None else entry.kind


def plain_name(schema: str) -> str:
    """The name of an operation as the table knows it: PyTorch's own without namespace, others with theirs.

    Example:
        >>> plain_name("aten::relu_"), plain_name("mylib::contiguous")
        ('relu_', 'mylib::contiguous')
    """
    space, _, name = schema.rpartition("::")
    return name if space in ("aten", "prims", "") else schema
