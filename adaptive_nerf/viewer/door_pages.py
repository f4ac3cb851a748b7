"""The few pages of the front door itself, and the headers that all pages get."""

from __future__ import annotations

import html

FORM_FIELD = "key"
STYLE = """body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f1f3f5;color:#212529;
font:16px/1.5 system-ui,sans-serif}main{max-width:30rem;margin:1rem;padding:1.5rem 2rem;background:#fff;
border-radius:10px;box-shadow:0 2px 14px #0002}h1{font-size:1.3rem;margin:.2rem 0 1rem}input,button{font:inherit;
width:100%;box-sizing:border-box;padding:.6rem .7rem;margin-top:.5rem;border:1px solid #868e96;border-radius:6px}
button{background:#1864ab;border-color:#1864ab;color:#fff;font-weight:600;cursor:pointer}code{background:#f1f3f5;
padding:.1rem .3rem;border-radius:4px}.wrong{color:#c92a2a;font-weight:600}p{margin:.7rem 0}"""
ALWAYS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin", "Server": "adaptive-nerf",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()"}
OWN_POLICY = ("default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
              "frame-ancestors 'none'")


def page_policy(host_header: str) -> str:
    """What viser's page may load: what it holds itself, and our own websocket; nothing of any other machine."""
    return ("default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
            f"connect-src 'self' ws://{host_header} wss://{host_header} data: blob:; worker-src 'self' blob:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")


def key_form(query: str, wrong: bool) -> str:
    told = '<p class="wrong" role="alert">That is not the key of this page. Try again.</p>' if wrong else ""
    return _page("This page needs its key", f"""{told}
<form method="post" action="{_here(query)}">
<label for="key">Paste the key, or the whole address that holds it:</label>
<input id="key" name="{FORM_FIELD}" type="password" autocomplete="off" autofocus required maxlength="1000">
<button>Open the page</button></form>
<p>The key is what follows <code>?token=</code> in the address of this page. Whoever started it finds that address with
<code>./scripts/jobs.py show</code> and the job's name.</p>""")


def welcome(query: str) -> str:
    """Leads on by itself. A page of its own, for a browser that comes from elsewhere brings the new cookie only when
    our own page sends it on; and the key leaves the address line."""
    return _page("Opening…", f'<p><a href="{_here(query)}">Go on</a> if nothing happens.</p>',
                 f'<meta http-equiv="refresh" content="0;url={_here(query)}">')


def told(title: str, words: str) -> str:
    return _page(title, f"<p>{html.escape(words)}</p>")


def _here(query: str) -> str:
    return html.escape(f"/?{query}" if query else "/")


def _page(title: str, content: str, head: str = "") -> str:
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
            f'<meta name="viewport" content="width=device-width,initial-scale=1">{head}<style>{STYLE}</style></head>'
            f"<body><main><h1>{html.escape(title)}</h1>{content}</main></body></html>")
