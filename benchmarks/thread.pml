/*
 * The design THREAD, phase by phase, as model/transition.py has it, for one role: a yardstick for model/explore.py.
 * S sessions, L labels (each 2 or 3). A call that is refused is a step that changes nothing, as it is there.
 */
#define ABSENT 0
#define STARTING 1
#define ACTIVE 2
#define STOPPING 3

#define IDLE 0
#define TAKE_START_POINT 1
#define PUBLISH_START 2
#define END_BACKUP 3
#define PUBLISH_STOP 4
#define RELEASE 5

bool gone[S];     /* not connected */
byte next[S];     /* the phase that comes next */
byte on[S];       /* the label that it is about */
byte state[L];
byte place[L];    /* of the start point among those that are remembered, from 1; 0: none yet */
byte core;        /* how many backups core counts */
hidden byte i;
hidden byte last;

inline forget(label) {
	i = 0;
	do
	:: i < L -> if :: place[label] > 0 && place[i] > place[label] -> place[i]-- :: else fi; i++
	:: else -> break
	od;
	place[label] = 0;
	state[label] = ABSENT
}

inline take(label) {
	last = 0;
	i = 0;
	do
	:: i < L -> if :: place[i] > last -> last = place[i] :: else fi; i++
	:: else -> break
	od;
	place[label] = last + 1;
	core++
}

inline go_on(s) {
	if
	:: next[s] == TAKE_START_POINT -> take(on[s]); next[s] = PUBLISH_START
	:: next[s] == PUBLISH_START -> state[on[s]] = ACTIVE; rest(s)
	:: next[s] == END_BACKUP -> core--; next[s] = PUBLISH_STOP
	:: next[s] == PUBLISH_STOP -> forget(on[s]); rest(s)
	:: next[s] == RELEASE -> core--; forget(on[s]); rest(s)
	fi
}

inline cut_off(s) {
	if
	:: next[s] == TAKE_START_POINT -> forget(on[s])
	:: next[s] == PUBLISH_START -> core--; forget(on[s])
	:: next[s] == PUBLISH_STOP -> forget(on[s])
	:: else -> state[on[s]] = ACTIVE
	fi;
	rest(s)
}

inline rest(s) {
	next[s] = IDLE;
	on[s] = 0
}

inline claim(s, label, before, after, phase) {
	if
	:: !gone[s] && state[label] == before -> state[label] = after; next[s] = phase; on[s] = label
	:: else
	fi
}

inline restart() {
	i = 0;
	do
	:: i < S -> gone[i] = true; rest(i); i++
	:: else -> break
	od;
	i = 0;
	do
	:: i < L -> state[i] = ABSENT; place[i] = 0; i++
	:: else -> break
	od;
	core = 0
}

#define CALLS(s, label) \
	:: d_step { next[s] == IDLE -> claim(s, label, ABSENT, STARTING, TAKE_START_POINT) } \
	:: d_step { next[s] == IDLE -> claim(s, label, ABSENT, STARTING, TAKE_START_POINT) } /* rolled back */ \
	:: d_step { next[s] == IDLE -> claim(s, label, ACTIVE, STOPPING, END_BACKUP) } \
	:: d_step { next[s] == IDLE -> claim(s, label, ACTIVE, STOPPING, RELEASE) }

#if L > 2
#define LABELS(s) CALLS(s, 0) CALLS(s, 1) CALLS(s, 2)
#else
#define LABELS(s) CALLS(s, 0) CALLS(s, 1)
#endif

#define SESSION(s) LABELS(s) \
	:: d_step { next[s] == IDLE -> skip } /* the view: refused */ \
	:: d_step { next[s] == IDLE -> gone[s] = false } \
	:: d_step { next[s] == IDLE -> gone[s] = true } \
	:: d_step { next[s] != IDLE -> go_on(s) } \
	:: d_step { next[s] != IDLE -> cut_off(s) } \
	:: d_step { next[s] != IDLE -> cut_off(s); gone[s] = true } \
	:: d_step { next[s] == PUBLISH_START || next[s] == RELEASE -> go_on(s) } /* cut off too late */ \
	:: d_step { next[s] == PUBLISH_START || next[s] == RELEASE -> go_on(s); gone[s] = true }

active proctype world() {
	do
	SESSION(0)
	SESSION(1)
#if S > 2
	SESSION(2)
#endif
	:: d_step { true -> restart() }
	:: d_step { true -> restart() }
	:: d_step { true -> restart() }
	:: d_step { true -> skip } /* time passes */
	od
}
