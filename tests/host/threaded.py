"""A module that starts a thread when it is imported, as no module should."""

import threading
import time

threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
