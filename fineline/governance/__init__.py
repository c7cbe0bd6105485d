"""Governance: who may sign, what was signed, and what may ship because of it.

People and policy stand in governance/people.yaml and governance/policy.yaml, everything that anybody signed in
governance/ledger/, one envelope a file. `ledger` says what was signed and in which order, `state` what holds because of it,
`requirements` what a channel asks of a release, `promotion` puts it there. docs/governance.md is the manual.
"""
