"""The log: one JSON object a line on stderr."""

import json
import logging
import sys
import time
from typing import Any

_requests = logging.getLogger("runtime.requests")


class JsonLines(logging.Formatter):
    """Records as JSON objects; what a record carries as ``fields`` stands beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def configure_logging(level: str) -> None:
    """Send the runtime's and uvicorn's records of ``level`` and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("runtime", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level.upper())
    if level == "info":  # uvicorn tells at info what the runtime tells better
        logging.getLogger("uvicorn").setLevel(logging.WARNING)


def log_request(*, method: str, path: str, status: int, seconds: float, request_id: str, probe: bool) -> None:
    """Write the request log; probes, which come every few seconds, at debug only."""
    level = logging.DEBUG if probe else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    fields = {
        "method": method,
        "path": path,
        "status": status,
        "duration_ms": round(seconds * 1000, 3),
        "request_id": request_id,
    }
    _requests.log(level, "request", extra={"fields": fields})
