"""What a person sees and moves in the gallery of a page."""

import json

from support.browser import Browser

SEEN = "document.querySelector('.frame:first-child svg, .frame:first-child .drawing img') !== null"


def show_frames(tab: Browser) -> None:
    tab.run("document.getElementById('frames').scrollIntoView({behavior: 'instant'})")
    tab.wait_for(SEEN)


def card(name: str) -> str:
    return (
        f"[...document.querySelectorAll('.frame')].find((f) => f.querySelector('b').innerText === {json.dumps(name)})"
    )


def outcomes(tab: Browser, name: str, side: int) -> list[str]:
    """What the boxes of a side of a frame are drawn as."""
    tab.wait_for(f"{card(name)}.querySelectorAll('svg').length > 1")
    find = f"{card(name)}.querySelectorAll('svg')[{side}].querySelectorAll('rect')"
    return sorted(tab.run(f"[...{find}].map((r) => r.dataset.outcome)"))


def move_slider(tab: Browser, key: str, value: float) -> None:
    tab.slide(f"[data-tool={key}]", value)
