"""Explorer: the pages on which people rate, annotate and look at clips of the current release.

    app.py          the application: `application(lake, settings, *, prefix="")`
    house.py        what the pages share: the release, the answers so far, who asks, how a page is rendered
    safety.py       headers, sizes, forms: what every request and answer passes
    published.py    the release that is read: clips, rules, categories
    answers.py      tables of the corpus that grow, read file by file and once each
    queue.py        which clip a person is shown next
    media.py        one clip's bytes out of its shard's tar, whole or a range
    tasks.py        the same clips as tasks for a labelling tool (`winnow annotate export-tasks`)
    overview.py, rate.py, annotate.py, clips.py     one page each; templates/ and assets/ beside them

Server-rendered in the look of the report, whose templates and styles it extends. Every page works without a script;
scripts add keys and the ten seconds that follow the video. Nothing is loaded from a network. What people answer is
appended to the corpus, one small file an answer, so two people never wait for each other and nothing is overwritten: of
one person's answers about one clip the last counts.

A further page is a module with `routes(house)` and a template, named in `app.PAGES`; `player.html.j2` and `player.js`
are the clip player that all share.
"""
