"""The fault tests start servers of their own; only the path to the helpers is shared."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "conformance"))
