"""`python -m regard_lab.data.sdist NAME VERSION`: fetch a PyPI package's source archive into the current folder without
running it.

`pip download` builds an archive's metadata, which runs the package's own code, and has no option to prevent it (pip's
issue 1884). So this asks pip only where the archive is, with pip's own configuration (indexes, certificates, proxies),
and stores the bytes as they are. The functions that it uses are private to pip: they are the same in pip 21 to 26; with
a pip that has moved them, the command stops and names what is missing.
"""

import importlib
import sys
from pathlib import Path


def main(name: str, version: str, folder: Path) -> str:
    """Store the archive in `folder`; returns an error in one line, or nothing."""
    try:
        pip = {part: importlib.import_module(f"pip._internal.{module}") for part, module in PARTS.items()}
    except ModuleNotFoundError as error:
        return f"{error}; `python -m ensurepip` installs pip"
    command = pip["commands"].create_command("download")
    options, _ = command.parse_args(["--quiet", "--retries", "0"])
    with command.main_context():
        session = command.get_default_session(options)
        finder = pip["finder"].PackageFinder.create(
            link_collector=pip["collector"].LinkCollector.create(session, options=options),
            selection_prefs=pip["preferences"].SelectionPreferences(
                allow_yanked=True,
                ignore_requires_python=True,
                format_control=pip["format"].FormatControl({":all:"}, set()),  # no wheels
            ),
        )
        links = [candidate.link for candidate in finder.find_all_candidates(name) if str(candidate.version) == version]
        if not links:
            return f"no source archive of {name} {version} found"
        response = session.get(links[0].url_without_fragment)
        response.raise_for_status()
        (folder / links[0].filename).write_bytes(response.content)
    return ""


PARTS = {
    "commands": "commands",
    "collector": "index.collector",
    "finder": "index.package_finder",
    "format": "models.format_control",
    "preferences": "models.selection_prefs",
}

if __name__ == "__main__":
    problem = main(sys.argv[1], sys.argv[2], Path())
    sys.exit(f"ERROR: {problem}" if problem else 0)
