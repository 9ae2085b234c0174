"""``python -m runtime.healthcheck``: whether the server of this container is ready, for engines that ask by a command.

Imports next to nothing: it runs every few seconds, in images without a shell or curl.
"""

import http.client
import os
import ssl
import sys


def main() -> int:
    """0 when ``/readyz`` says so, else 1."""
    port = int(os.environ.get("DRAY_STANDBY_PORT") or os.environ.get("DRAY_PORT") or 8080)
    connection: http.client.HTTPConnection
    if os.environ.get("DRAY_TLS_CERT_FILE"):
        # It asks its own container: whose certificate it is does not matter.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=4, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/readyz")
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
