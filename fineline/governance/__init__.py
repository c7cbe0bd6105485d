"""Governance: who may sign, what was signed, and what may ship because of it.

People and policy are in governance/people.yaml and governance/policy.yaml, and everything that was signed is in
governance/ledger/, one envelope per file. `ledger` reads what was signed and in which order, `state` replays it, `requirements`
lists what a channel asks of a candidate, and `actions` signs. docs/governance.md is the manual.
"""
