"""Nothing lost, nothing paid twice: helpers and tests of faults that need no Ray; tests/cluster/faults has the others.

drivers     the product as a process, and its death
judging     what a death may cost, from the provider's ledger and the journal
"""
