"""The page over the town, behind its front door, as a process of its own: python -m tests.support.town_page ...

It ends when somebody ends it on the page (exit 0), or when it is killed.
"""

from __future__ import annotations

import argparse
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from adaptive_nerf.viewer.access import key_of_job
from adaptive_nerf.viewer.jobs_feed import JobsFeed
from adaptive_nerf.viewer.listening import listen
from adaptive_nerf.viewer.page import Page
from adaptive_nerf.viewer.page_server import PageServer
from adaptive_nerf.viewer.session_state import SessionState
from adaptive_nerf.viewer.shared_adaptation import SharedAdaptation
from tests.support.town_scene import town_backend

JOBS = [{"job_id": "train-<b>1</b>", "op": "train", "state": "RUNNING", "running_s": 60.0, "age_s": 70.0,
         "progress": {"step": 410, "of": 1000, "eta_s": 95.0, "share": 0.41}},
        {"job_id": "eval-17", "op": "eval", "state": "FAILED", "reason": "out_of_memory", "age_s": 400.0}]


class Jobs(BaseHTTPRequestHandler):
    """Answers as the mediator does."""

    def do_GET(self) -> None:
        content = json.dumps({"jobs": JOBS, "counts": {}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--job", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--limit_s", type=float, default=0.0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    jobs = ThreadingHTTPServer(("127.0.0.1", 0), Jobs)
    threading.Thread(target=jobs.serve_forever, daemon=True).start()
    backend = town_backend(options.scene, options.job)
    session = SessionState("view-1", options.job, backend, SharedAdaptation(backend),
                           JobsFeed(f"http://127.0.0.1:{jobs.server_port}"), options.limit_s)
    serve(session, options.port)
    jobs.shutdown()


def serve(session: SessionState, port: int) -> None:
    listening = listen("127.0.0.1", port)
    server = PageServer(listening, "127.0.0.1", key_of_job(session.folder), session, Page)
    while not session.wait(0.5):
        pass
    server.close()
    listening.close()
    session.close()


if __name__ == "__main__":
    main()
