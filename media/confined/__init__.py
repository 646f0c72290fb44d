"""What runs inside the sandbox, in a Python child: our own readers and writers of hostile documents.

Nothing here imports anything of ours but what lies in this folder, which travels into the sandbox as one sealed
archive; nothing here opens a file, a socket or a process.
"""
