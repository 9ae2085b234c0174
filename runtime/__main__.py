"""``python -m runtime``: serve the packages that the environment names."""

import gc

from runtime.server.run import leave, main

if __name__ == "__main__":
    # Imports make objects that live for ever; looking through them for garbage takes a tenth of the start.
    gc.disable()
    leave(main())
