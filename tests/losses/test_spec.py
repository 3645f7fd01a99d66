"""The descriptions of the losses and the functions behind them belong together."""

import subprocess
import sys

from distill.losses.spec import SPECS


def test_every_loss_is_described():
    """The functions' keys are the descriptions' keys."""
    from distill.losses.core import LOSSES

    assert LOSSES.keys() == SPECS.keys()
    assert all(spec.kind == kind for kind, spec in SPECS.items())


def test_descriptions_need_no_torch():
    """`explain-loss` can run without the training extra."""
    code = "import sys, distill.losses.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
