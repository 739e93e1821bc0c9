"""Watching the champion: evidence, monitors, thresholds, the decision, and its record.

In the order of the data:

    evidence, request_log, evidence_reader   what serving writes, and what is read of it for one window
    evidence_store                           the same through an S3 store
    feedback_reader, feedback_store          feedback alone, of any stretch of time, for a retraining
    durable                                  files that appear whole and stay
    champion_view                            who the champion is, since when, and its items
    served_items, labels, features           what the monitors look at
    user_means                               what a window says of each user: nobody counts twice
    monitors                                 the table of monitors, each a statistic of two windows
    calibration                              thresholds by bootstrap: the false-alarm rate is a parameter
    catalogue                                what is counted instead of sampled: new items, collisions, bare texts
    judgement                                one window's results, with persistence
    decision, decision_log                   what is to be done, and the append-only record of what was decided
    watch                                    all of that for one window
    evidently_report                         pages for people, and snapshots for Evidently's UI
    paging                                   decisions that people must see, to Alertmanager
    runs, settings                           what decisions start, and every number of all this
    patrol                                   a round over all windows that are due: what a schedule calls
    status                                   how things stand, on one screen
"""
