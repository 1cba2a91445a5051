"""Explorer: the pages on which people look at clips of the current release, rate and annotate them, and at batches.

    app.py          the application: `application(lake, settings, *, prefix="")`
    context.py      what the pages share: the release, the answers so far, who asks, how a page is rendered
    safety.py       headers, sizes, forms: what every request and answer passes
    published.py    the release that is read: clips, rules, categories
    answers.py      tables of the corpus that grow, read file by file and once each
    queue.py        which clip a person is shown next, of a sample; listed.py: of a whole release
    media.py        one clip's bytes out of its shard's tar, whole or a range
    view.py         which clips somebody asks to see, as an address and as a query; facets.py: what they are filtered by
    counts.py       how many clips there are of each value
    path.py         the rules that decided about a clip, one by one
    pictures.py     thumbnails and pictures of sounds, kept in a bounded folder; draw.py: the process that draws them
    tasks.py        the same clips as tasks for a labelling tool (`winnow annotate export-tasks`)
    grid.py, clips.py, batches.py, people.py, rate.py, annotate.py, audit.py     pages, with templates/ and assets/

Server-rendered in the look of the report, whose templates and styles it extends. Every page works without a script;
scripts add keys and the ten seconds that follow the video. Nothing is loaded from a network. What people answer is
appended to the corpus, one small file an answer, so two people never wait for each other and nothing is overwritten: of
one person's answers about one clip the last counts.

A further page is a module with `routes(context)` and a template, named in `app.PAGES`; `player.html.j2` and `player.js`
are the clip player that all share.
"""
