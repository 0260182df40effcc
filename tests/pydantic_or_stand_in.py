"""Makes `import pydantic` work on GPU machines without it, with a stand-in that checks nothing."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

STAND_IN = Path(__file__).parents[1] / "tools" / "stand_ins" / "pydantic.py"


def load_stand_in() -> None:
    spec = spec_from_file_location("pydantic", STAND_IN)
    sys.modules["pydantic"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["pydantic"])


try:
    import pydantic  # noqa: F401
except ImportError:
    load_stand_in()

IS_STAND_IN = hasattr(sys.modules["pydantic"], "IS_STAND_IN")
