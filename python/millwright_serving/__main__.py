"""`serve`: brings the script, then listens until it is told to end."""
import asyncio
import sys

from millwright_serving import code
from millwright_serving.front import Front
from millwright_serving.settings import Settings, SettingsError


def main():
    try:
        settings = Settings.read()
        folder = code.bring(settings)
        code.install_requirements(folder)
    except (SettingsError, code.CodeError) as problem:
        sys.exit(f"serve: {problem}")
    sys.exit(asyncio.run(Front(settings, folder).run()))


if __name__ == "__main__":
    main()
