"""From a challenger to the champion: the gate that compares them, and the pointer that only one promoter moves.

hold_out           fresh users that neither policy was trained on, the slices that are guarded, the leak check
gate, verdict      challenger against champion, as a typed record with numbers and reasons
verdict_report     the same as a page
champion           promote, roll back, history; in a folder (champion_folder) or in an S3 store (champion_store)
"""
