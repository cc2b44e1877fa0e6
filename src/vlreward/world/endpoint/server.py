"""The endpoint as a server on a port, in threads of its own."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Self

from vlreward.errors import ConfigError
from vlreward.world.endpoint.application import Application, Reply, refused
from vlreward.world.endpoint.bill import Bill
from vlreward.world.endpoint.config import WorldEndpointConfig
from vlreward.world.endpoint.protocol import RequestError, error_body
from vlreward.world.endpoint.truth import WorldTruth


class WorldEndpoint:
    """Plays the world's models over HTTP, from `with` on until its end.

        with WorldEndpoint(WorldTruth(pairs), WorldEndpointConfig(port=8000)) as endpoint:
            client = openai.OpenAI(base_url=endpoint.base_url, api_key="none")

    The end cuts all connections, those that hang included, and leaves no thread behind. Entering
    raises ConfigError where the host and port cannot be had.
    """

    def __init__(self, truth: WorldTruth, config: WorldEndpointConfig | None = None) -> None:
        config = config or WorldEndpointConfig()
        self.config = config
        self._application = Application(truth, config)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        config = self.config
        try:
            self._server = _Server((config.host, config.port), _Handler, self._application)
        except OSError as error:
            raise ConfigError(
                "endpoint-address",
                value=f"{config.host}:{config.port} ({error})",
                place="port",
                expected="an address that is free",
                mend="Choose another port, or 0.",
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None and self._thread is not None
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        assert self._server is not None, "the endpoint has not been entered"
        return f"http://{self.config.host}:{self._server.server_address[1]}/v1"

    @property
    def bill(self) -> Bill:
        """Everything charged so far, after the end too."""
        return self._application.bill


class _Server(ThreadingHTTPServer):
    """Keeps hold of its connections, so that it can end them and wait for their threads."""

    daemon_threads = False
    request_queue_size = 256

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        application: Application,
    ) -> None:
        self.application = application
        self.is_ending = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Binds without asking a name server for the host's name, as HTTPServer does."""
        TCPServer.server_bind(self)

    def process_request(self, request: object, client_address: object) -> None:
        """Remembers the connection."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: object) -> None:
        """Forgets the connection, then ends it."""
        assert isinstance(request, socket.socket)
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Ends every connection, whatever it waits for."""
        self.is_ending.set()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def finish_request(self, request: object, client_address: object) -> None:
        """Serves a connection to its end; that a client goes away is no error."""
        with suppress(OSError):
            super().finish_request(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answers."""
        self._serve()

    def do_POST(self) -> None:
        """Answers."""
        self._serve()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuses what is no HTTP, or another method, in the protocol's shape; ends."""
        text = message or explain or "This cannot be read."
        self.close_connection = True
        self._send(Reply(status=code, content=error_body(text, code="http-error")))

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _serve(self) -> None:
        application = self.server.application
        try:
            content = self._read()
        except RequestError as error:
            self._send(refused(error))
            return
        if content is None:
            return
        authorization = self.headers.get("Authorization")
        reply = application.respond(self.command, self.path, content, authorization=authorization)
        if reply is None:
            self.server.is_ending.wait(application.config.hang_seconds)
            self.close_connection = True
        else:
            self._send(reply)

    def _read(self) -> bytes | None:
        """The body; None if the client left in its midst. Raises RequestError if it is refused."""
        length = self.headers.get("Content-Length", "0")
        is_sized = re.fullmatch(r"[0-9]{1,18}", length) and "Transfer-Encoding" not in self.headers
        if not is_sized:
            self.close_connection = True
            raise RequestError(
                "content-length",
                value=length,
                place="Content-Length",
                expected="the number of the body's bytes, sent as one piece",
                mend="Send a Content-Length and no Transfer-Encoding.",
            )
        num_bytes = int(length)
        try:
            self.server.application.check_size(num_bytes)
        except RequestError:
            self._skip(num_bytes)
            raise
        content = self.rfile.read(num_bytes)
        if len(content) < num_bytes:
            self.close_connection = True
            return None
        return content

    def _skip(self, num_bytes: int) -> None:
        """Reads a body away: closing before its end would cut off the reply that refuses it."""
        while num_bytes and (chunk := self.rfile.read(min(num_bytes, 2**16))):
            num_bytes -= len(chunk)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply.content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.num_sent is not None:
            self.close_connection = True
        self.end_headers()
        self.wfile.write(reply.content[: reply.num_sent])
