"""The library under load for hours: does memory stay flat, is every record accounted for, is every value right?

``mlopt soak`` runs it (:mod:`mlopt.soak.command`)::

    Soak (run)    starts a process for each load, samples it (processes, series), watches that it goes on, stops it
      host          the program of such a process: one load, its counters sent on every interval
        loads/        what runs: pipelines in processes, on threads and fused, queues, pools, maps, failing allocations
        stream        the endless bars that they are fed, the same for the same seed, with bad ones among them
        ledger        the account of records: lost, twice, out of order
    judge (verdicts)  slope of the memory, errors, leftovers  ->  Result  ->  soak.json, soak.svg, the table at the end
"""
