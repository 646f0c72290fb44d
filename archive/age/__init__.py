"""The age v1 format (C2SP age) on the primitives of `cryptography`: headers, recipients, streams, random access."""
