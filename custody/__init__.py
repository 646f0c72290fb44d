"""The register: what happened to each item, in a log that nobody can quietly rewrite.

Pure, and a good place to begin reading: `merkle` (the tree), `canonical` (one spelling for every value),
`commitments` (values closed one by one), `entries` (what a leaf says), `tiles` (the tree on disk), `signed_note` and
`checkpoint` (the log's signed state), `tlog_proof` and `receipt` (what a person takes away and checks without us).
"""
