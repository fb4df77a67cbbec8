"""The analysis of runs: what differs, by which mechanism, and how sure that is.

- `blocks`: outcomes by seed, and the contrasts inside each seed's block.
- `mechanism`, `mean`, `spread`, `failures`: the three axes, each by itself.
- `interactions`: whether an effect depends on another factor.
- `conclusions`: the words, and the table that joins the axes.
- `attribution`: all of this for one design.
- `warnings`, `provenance`: what a reader must know beside the answer.
"""
