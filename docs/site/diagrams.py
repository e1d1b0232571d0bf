"""Diagrams of the site: each ```mermaid fence becomes an SVG while the site is built, without a browser or network."""

from __future__ import annotations

import re
from typing import Final

from mermaid_render import mermaid_to_svg
from properdocs.config.defaults import ProperDocsConfig
from properdocs.exceptions import PluginError
from properdocs.structure.files import Files
from properdocs.structure.pages import Page

_FENCE: Final = re.compile(r"^```mermaid\n(?P<source>.*?)^```$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Put the drawing in the place of its source, in which search finds its words as well."""
    del config, files

    def draw(fence: re.Match[str]) -> str:
        try:
            svg: str = mermaid_to_svg(fence["source"]).decode()
        except ValueError as problem:
            raise PluginError(f"{page.file.src_uri}: a Mermaid diagram cannot be drawn: {problem}") from problem
        # Markdown ends a block of HTML at a blank line.
        return f'<figure class="diagram">{" ".join(svg.split())}</figure>'

    return _FENCE.sub(draw, markdown)
