"""From a challenger to the champion: the gate that compares them, and the pointer that only one promoter moves.

measure            both policies on the same hold-out, and their answering times
hold_out           fresh users that neither policy was trained on, the slices that are guarded, the leak check
gate, verdict      challenger against champion, as a typed record with numbers and reasons
verdict_report     the same as a page
champion           promote, roll back, history; in a folder (champion_folder) or in an S3 store (champion_store)
closing            the end of a run: promoted or not, once, and the outcome in the record of decisions
"""
