"""The tab *Jobs*: what the mediator works on."""

from __future__ import annotations

import viser

from adaptive_nerf.viewer.jobs_feed import JobsFeed
from adaptive_nerf.viewer.jobs_words import jobs_html
from adaptive_nerf.viewer.markup import Light, block, dot, safe


class JobsTab:
    def __init__(self, gui: viser.GuiApi, feed: JobsFeed):
        self._feed = feed
        self._list = gui.add_html("")

    def tick(self) -> None:
        told = self._feed.told()
        problem = block(f"{dot(Light.CARE)} {safe(told.problem, 200)}") if told.problem else ""
        content = problem + (jobs_html(told.jobs) if told.jobs or not told.problem else "")
        if content != self._list.content:
            self._list.content = content
