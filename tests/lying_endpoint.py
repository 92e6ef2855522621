"""An endpoint of a chain that tells most of the truth."""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def honest(method: str, result: Any) -> Any:
    return result


class LyingEndpoint:
    """A proxy before the real endpoint that changes its answers: what they say, and how their bytes go out."""

    def __init__(
        self,
        rpc_url: str,
        lie: Callable[[str, Any], Any] = honest,
        send: Callable[[str, bytes], Iterable[bytes]] | None = None,
    ) -> None:
        host = rpc_url.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                connection = http.client.HTTPConnection(host, timeout=10)
                connection.request("POST", "/", body, {"content-type": "application/json"})
                request, answer = json.loads(body), json.loads(connection.getresponse().read())
                connection.close()
                for asked, told in _pairs(request, answer):
                    if "result" in told:
                        told["result"] = lie(asked["method"], told["result"])
                raw = json.dumps(answer).encode()
                self.send_response(200)
                if send is None:
                    self.send_header("content-length", str(len(raw)))
                self.end_headers()
                method = request["method"] if isinstance(request, dict) else request[0]["method"]
                with contextlib.suppress(OSError):
                    for piece in [raw] if send is None else send(method, raw):
                        self.wfile.write(piece)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.rpc_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "LyingEndpoint":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pairs(request: Any, answer: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each request with its answer; batches may be answered in any order."""
    if isinstance(request, dict):
        return [(request, answer)]
    answers = {told["id"]: told for told in answer}
    return [(asked, answers[asked["id"]]) for asked in request]
