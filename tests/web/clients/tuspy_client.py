"""Send one file with tuspy: ENDPOINT FILE TOKEN CODE SHA256 CHUNK. A process of its own, for it leaves files open."""

import json
import sys

from tusclient.client import TusClient

endpoint, path, visit, code, sha256, chunk = sys.argv[1:]
told = {"filename": "clip.mp4", "visit": visit, "code": code, "sha256": sha256}
uploader = TusClient(endpoint).uploader(path, chunk_size=int(chunk), metadata=told, retries=2000, retry_delay=0.02)
uploader.upload()
sys.stdout.write(json.dumps({"ok": True, "url": uploader.url}))
