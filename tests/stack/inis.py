"""Inis that are easily misread, for test_ini.py: name -> file -> text, web.ini being the one that is read."""

from __future__ import annotations

PLAIN: dict[str, dict[str, str]] = {
    "the line as it is": {
        "web.ini": "ignored = 1\n [uwsgi] \n\tprocesses\t=\t4 \r\n;c = 1\n#d = 1\nkey only\n=value only\n"
        " a = b = c # d\ne =\nlast = line without an end"
    },
    "sections": {
        "web.ini": "[uwsgi]\na = 1\n[uwsgi\nb = 1\n[other]\nc = 1\n[uwsgi] ; note\nd = 1\n[uwsgi]\ne = 1\n"
        "ini = :other\nf = 1\n"
    },
    "a section of another file": {
        "web.ini": "[uwsgi]\nini = more.ini:live\nini = :test\na = %n %x\n",
        "more.ini": "[uwsgi]\nb = 1\n[live]\nc = %n %x %X %s\n[test]\nd = %x %N %n\n",
    },
    "magic variables": {
        "web.ini": "[uwsgi]\na = %d|%n|%p|%s|%e|%c|%h|%v|%x|%X|%o|%O|%k|%u|%U|%g|%G|%i|%j|%D|%N|%P|%S|%E|%C|%I|%J\n"
        "b = %0|%1|%2|%3|%4|%5|%6|%7|%8|%9\nc = %%|%q|%%d|%%%%n|%y%z\nd = 50%\ne = 1\nf = %[%]\n%n = key\n"
        "g = %\xc3\xa9%\xe9\n"
    },
    "a name with dots": {"web.ini": "[uwsgi]\nini = a.b.c.ini\nc = %n %e\n", "a.b.c.ini": "[uwsgi]\nx = %n %e %N %E\n"},
    "include keeps the upper variables": {
        "web.ini": "[uwsgi]\ninclude = more.ini\na = %n %N\n",
        "more.ini": "[uwsgi]\nb = %n %N\ninclude = deeper.ini\n",
        "deeper.ini": "[uwsgi]\nc = %n %N %d\n",
    },
    "placeholders": {
        "web.ini": "[uwsgi]\nbase = /srv\nbase = /other\na = %(base)/%(later)\nlater = x%(base)\nb = %(nobody)\n"
        "c = %(later)\nd = -%(later)\ne = %%(base)\nf = %(base\ng = %()\nh = %((base))\ni = %( base)\n"
        "j = a%(b%(base))\n"
    },
    "sums": {
        "web.ini": "[uwsgi]\nprocesses = 4\na = %(processes * 2)\nb = %(processes + 2 * 3)\nc = %(processes / 0)\n"
        "d = %(processes - 9)\ne = %(processes ++)\nf = %(processes --)\ng = %(processes processes + 1)\n"
        "h = %(processes - 9 / 2)\ni = %(nobody + 1)\nj = %(a b)\nk = %(3 + 4)\nl = %(++ 3)\nm = %(processes + -2)\n"
        "threads = %(threads + 1)%(threads + 1)\n"
    },
    "the environment": {
        "web.ini": "[uwsgi]\nbase = /srv\na = $(SHOP)\nb = $(SHOP)/$(EMPTY)/%(base)\nc = $(NESTED)\nd = x$(NESTED)\n"
        "e = $(\nf = $()\ng = $SHOP ${SHOP}\nh = $$(SHOP)\ni = %(a)$(SHOP)\n"
    },
    "a file for a value": {
        "web.ini": "[uwsgi]\nbase = /srv\na = @(one.txt)\nb = x@(one.txt)y\n",
        "one.txt": "%(base)\n",
    },
    "set and placeholders": {
        "web.ini": "[uwsgi]\nset = a=1\nset = b=%(a)\nset-placeholder = c=%(a)\nset-ph = d=$(SHOP)\ne = %(b)%(c)%(d)\n"
        "set = processes=3\nf = %(processes)\n"
    },
    "inherited": {
        "web.ini": "[uwsgi]\nbase = /srv\nfile2 = more\ninherit = %(file2).ini\nprocesses = 2\na = %(late)\n",
        "more.ini": "[uwsgi]\nprocesses = 9\nb = %(base) $(SHOP) %n\nlate = 1\nini = deeper.ini\n",
        "deeper.ini": "[uwsgi]\nc = %n %N\n",
    },
    "NUL and other rubbish": {"web.ini": "[uwsgi]\na = 1\0cut\nb\0c = 2\nd = \f1\f\n\0\n\x01 = 1\n[]\n"},
}
LOGICAL: dict[str, dict[str, str]] = {
    "loops": {
        "web.ini": "[uwsgi]\nfor = a b\nsocket = /%(_)\nlate = %(_)\nendfor =\nprocesses = 3\nfor-times = 2\n"
        "mule = %(_)\nend-for =\nfor-glob = *.txt\ny = %(_)\nend =\nfor-readline = one.txt\nx = %(_)\nend =\n"
        "threads = 2\n",
        "one.txt": "one\ntwo\n",
    },
    "conditions": {
        "web.ini": "[uwsgi]\nif-env = SHOP\nprocesses = 3\nendif =\nif-not-env = SHOP=green\nthreads = 9\nend-if =\n"
        "if-exists = one.txt\na = %(_)\nb = 1\nendif\nif-opt = processes=3\nharakiri = 3\nendif =\nif-reload =\nc = 1\n"
        "end =\nif-not-file = one.txt\nd = 1\nendif =\nharakiri-verbose = 1\n",
        "one.txt": "",
    },
    "an include that may not be there": {
        "web.ini": "[uwsgi]\nif-exists = more.ini\nini = %(_)\nendif =\nif-exists = gone.ini\nini = %(_)\nendif =\n"
        "end = 1\nprocesses = 2\n",
        "more.ini": "[uwsgi]\nthreads = 2\nset = harakiri=3\n",
    },
    "a loop left open by an include": {
        "web.ini": "[uwsgi]\nini = more.ini\na = %(_)\nendfor =\nb = %(_)\n",
        "more.ini": "[uwsgi]\nfor = 1 2\n",
    },
    "a value from a condition": {
        "web.ini": "[uwsgi]\nif-env = SHOP\nbase = /a\nendif =\nbase = /b\nstats = %(base)/s\npidfile = /p\n"
    },
}
