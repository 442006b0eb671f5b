"""Does attention matter in time-series transformers? A replication of arXiv:2509.20942.

The rooms of the package, in an order in which an import only ever points back (a test reads them):

settings        one run, and its ``run_id``
data            find, verify, split and window a series; the synthetic series
models          PatchTST, iTransformer, baselines, the attentions, the embeddings
runs            which runs the report rests on
tokenizers      codebooks of patches, fitted on training patches alone
floors          what could be forecast at best from the codes of a codebook
progress        bars
checkpoints     weights and resume files on disk
step            one training step, also as a CUDA graph
training        the loop
interventions   changes to a trained model inside a ``with`` block
attention_maps  what is read off a matrix A
latent_space    what is read off embedded patches
measures        every measurement on a trained model, as rows
ledger          the record, ``results/``: read, join, add; one row per run, and how it was made
numbers         what the report says, by name: written by the chapters, looked up by every text
sweep           many runs, here or on Dask; how long they take
statistics      intervals and tests: numbers in, numbers out
codebook_rule   whether a codebook has woken attention
preregistered   the analysis of the months nobody had looked at, fixed before their first run
registered_rates  the analysis of each arm at its own best learning rate, fixed before its runs
registered_dose  the analysis of a known dose of look-up on ETTh1, fixed before its runs
compare         every comparison of trained models, as one tidy table
claims          each claim of the report, decided once
text            numbers and verdicts in words, and in written prose, checked and refreshed
figures         one look for every figure
chapter         the set-up of a chapter, in one call
slides          the deck
folders         what a report may replace where it is written
explore         the page of all comparisons, and that of the record
site            the pages, on which names from files are text
report          execute the chapters side by side, and build the site
__main__        the commands
"""
