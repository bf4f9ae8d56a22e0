"""Where the real scans are, and how a test that needs them is skipped where they are not."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

needs_real_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the real scans in ../shared/data")
