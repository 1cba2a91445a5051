"""What the site is made of beside the pages of this folder (hooks of MkDocs, run by `make docs`).

Text that stands in a README stays there: a page takes a section of it by `<!-- include: FILE HEADING -->`, or the whole
README becomes a page under `in/`. A link that leads out of this folder is followed to the page that shows its file, or
becomes text that names the file. Reference pages are generated from what stands (`winnow.cli.reference`).
"""

from __future__ import annotations

import html
import os
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from winnow.cli import reference

ROOT = Path(__file__).resolve().parents[1]
#: Files of the checkout that are pages: file → page.
PAGES = {
    "images/README.md": "in/images.md",
    "images/model/README.md": "in/model.md",
    "dbt/README.md": "in/dbt.md",
    "dbt/models/marts/audioscope/README.md": "in/audioscope.md",
    "dbt/models/marts/calibration/README.md": "in/calibration.md",
    "dags/README.md": "in/dags.md",
    "k8s/README.md": "in/k8s.md",
    "tests/README.md": "in/tests.md",
    "tests/world/README.md": "in/world.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
INCLUDE = re.compile(r"<!-- include: (\S+) (#+ .+?) -->")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and those that lie elsewhere in the checkout."""
    made = {
        "reference/cli.md": reference.cli_page(),
        "reference/tables.md": reference.tables_page(ROOT / "dbt"),
        "reference/stages.md": reference.stages_page(),
        **{page: moved((ROOT / name).read_text(encoding="utf-8"), name, page) for name, page in PAGES.items()},
    }
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take in the sections that a page names."""
    own = page.file.src_uri
    if page.file.generated_by:
        return markdown
    text = moved(markdown, f"docs/{own}", own)

    def taken(match: re.Match[str]) -> str:
        name, heading = match.groups()
        found = section((ROOT / name).read_text(encoding="utf-8"), heading, f"{own}: {name}")
        return moved(found, name, own)

    return INCLUDE.sub(taken, text)


def section(text: str, heading: str, where: str) -> str:
    """What stands under a heading, up to the next one of its level or above; of a title, up to the next heading."""
    level = len(heading) - len(heading.lstrip("#"))
    quiet = FENCE.sub(lambda fence: re.sub(r"[^\n]", "x", fence[0]), text)
    begin = re.search(rf"^{re.escape(heading)}\n", quiet, re.MULTILINE)
    if begin is None:
        raise PluginError(f"{where} has no heading {heading!r}")
    stop = re.search(rf"^#{{1,{max(level, 2)}}} ", quiet[begin.end() :], re.MULTILINE)
    return text[begin.end() : begin.end() + stop.start() if stop else None].strip() + "\n"


def moved(text: str, name: str, page: str) -> str:
    """A text of the file `name`, with its links as the page `page` has them."""
    kept = list(FENCE.finditer(text))

    def link(match: re.Match[str]) -> str:
        image, said, target = match.groups()
        if any(fence.start() <= match.start() < fence.end() for fence in kept) or re.match(r"[a-z]+:|#", target):
            return match[0]
        path, _, anchor = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if there in PAGES:
            found = PAGES[there]
        elif f"{there}/README.md" in PAGES:
            found = PAGES[f"{there}/README.md"]
        elif there.startswith("docs/"):
            found = there.removeprefix("docs/")
        elif there == "README.md":
            found = "index.md"
        elif name.startswith("docs/") and not there.startswith("../") and (posixpath.join("docs", page) == name):
            inside = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
            if not inside.startswith("..") and not (ROOT / there).exists():
                return match[0]
            found = ""
        else:
            found = ""
        if found:
            to = posixpath.relpath(found, posixpath.dirname(page) or ".")
            return f"{image}[{said}]({to}{f'#{anchor}' if anchor else ''})"
        if not os.path.exists(ROOT / there):
            raise PluginError(f"{name} links to {target}, which is not there")
        return f'<span class="in-checkout" title="{html.escape(there)}">{said}</span>' if not image else said

    return LINK.sub(link, text)
