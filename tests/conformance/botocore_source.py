"""botocore's source distribution, which carries its test vectors: fetched once into build/, never part of the project."""
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = "1.44.5"
LIST = ROOT / "tests/requirements-botocore-source.txt"
FOLDER = ROOT / "build/botocore-source"


def botocore_source():
    """The unpacked distribution; pip checks the hash of what it fetches."""
    unpacked = FOLDER / f"botocore-{VERSION}"
    if not (unpacked / "tests").is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--no-binary", ":all:", "--require-hashes", "-d", FOLDER, "-r", LIST],
                       check=True, timeout=300)
        with tarfile.open(FOLDER / f"botocore-{VERSION}.tar.gz") as archive:
            archive.extractall(FOLDER)
    return unpacked
