"""Everything that can go wrong, as one tree.

    SecateursError
    ├── InputError            bad arguments or bad input: exit status 2
    │   ├── CaptureError      the model could not be followed at all
    │   └── MismatchError     weights, plan and network do not belong together
    └── RunError              what was asked could not be done: exit status 1
        ├── TargetError       no plan reaches the target
        │   └── BudgetError   no plan is as small as a device wants it: exit status 2
        └── VerificationError the smaller network is not the silenced original

A message names the argument or file, what was found there, and what to do.
"""


class SecateursError(Exception):
    """Any failure that is not a bug of this library."""

    exit_status = 1


class InputError(SecateursError):
    """An argument, a file or a model is not what it has to be."""

    exit_status = 2


class CaptureError(InputError):
    """The model's computation could not be captured."""


class MismatchError(InputError):
    """Weights, plan and network do not belong together."""


class RunError(SecateursError):
    """The run could not do what was asked."""


class TargetError(RunError):
    """No plan reaches the target; the message says which can be reached."""


class BudgetError(TargetError):
    """No plan meets the budgets, which were bad arguments for this network; the message says what can be met."""

    exit_status = 2


class VerificationError(RunError):
    """The smaller network does not compute what the silenced original computes."""
