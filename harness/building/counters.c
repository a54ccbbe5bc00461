/*
 * counters.c - counters of lines and branches are kept whole, however processes end
 *
 * It is linked into a build that counts, and is no part of the extension.  When a process ends, gcc's runtime adds the
 * process's counters to those of others, in their files.  Who is killed meanwhile leaves a file that nobody can read.
 * So here they are added in copies, which take the place of the files one by one; a lock lets one process at a time do
 * so.  The folder is what GCOV_PREFIX names.  Without it, nothing is written: the build may be loaded by a server that
 * was not started to be counted.
 *
 * A process that is about to be killed is told to write by a signal.  The handler does what handlers must not do, such
 * as getting memory.  If that hangs, the process is killed a moment later, as it was to be; what would end it hangs, too,
 * so that nobody takes it for a crash.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

extern void __gcov_dump(void);
extern void __gcov_reset(void);

#define FOLDER "GCOV_PREFIX"
#define SUFFIX ".gcda"

static volatile sig_atomic_t writing = 0;

typedef void (*Work) (const char *from, const char *to);

static void
copy(const char *from, const char *to)
{
	char		buffer[65536];
	ssize_t		length;
	int			source = open(from, O_RDONLY),
				target = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	while ((length = read(source, buffer, sizeof(buffer))) > 0)
	{
		if (write(target, buffer, length) != length)
			break;
	}
	close(source);
	close(target);
}

static void
move(const char *from, const char *to)
{
	rename(from, to);
}

static void
forget(const char *from, const char *to)
{
	unlink(from);
}

/* Does the work to every file of counters in a folder, and that of the same name in another. */
static void
with_each(const char *from, const char *to, Work work)
{
	DIR		   *folder = opendir(from);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
	{
		char		source[4096],
					target[4096];
		size_t		length = strlen(entry->d_name);

		if (length < strlen(SUFFIX) || strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		snprintf(source, sizeof(source), "%s/%s", from, entry->d_name);
		snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);
		work(source, target);
	}
	if (folder)
		closedir(folder);
}

/* The runtime does the same after us, unless it finds it done. */
static void __attribute__((destructor))
write_counters(void)
{
	const char *found = getenv(FOLDER);
	char		folder[2048],
				fresh[2100],
				lock_file[2100];
	int			lock;

	writing = 1;
	if (!found)
	{
		setenv(FOLDER, "/dev/null", 1);
		setenv("GCOV_ERROR_FILE", "/dev/null", 1);
		return;
	}
	snprintf(folder, sizeof(folder), "%s", found);
	snprintf(fresh, sizeof(fresh), "%s/fresh", folder);
	snprintf(lock_file, sizeof(lock_file), "%s/lock", folder);
	lock = open(lock_file, O_RDWR | O_CREAT, 0644);
	flock(lock, LOCK_EX);
	mkdir(fresh, 0755);
	with_each(fresh, fresh, forget);	/* of somebody who was killed */
	with_each(folder, fresh, copy);
	setenv(FOLDER, fresh, 1);
	__gcov_dump();
	with_each(fresh, folder, move);
	setenv(FOLDER, folder, 1);
	close(lock);
}

static void
hang(int number)
{
	for (;;)
		pause();
}

/* Writes what has been counted so far, and tells so by another letter in a file. */
static void
write_now(int number)
{
	struct sigaction hanging = {0};
	struct sigaction on_abort,
				on_fault;
	int			save_errno = errno;
	const char *folder = getenv(FOLDER);
	char		told_file[2100];
	int			told;

	if (!folder)
		return;
	snprintf(told_file, sizeof(told_file), "%s/told", folder);
	if (!writing)
	{
		hanging.sa_handler = hang;
		sigemptyset(&hanging.sa_mask);
		sigaction(SIGABRT, &hanging, &on_abort);
		sigaction(SIGSEGV, &hanging, &on_fault);
		write_counters();
		__gcov_reset();
		writing = 0;
		sigaction(SIGABRT, &on_abort, NULL);
		sigaction(SIGSEGV, &on_fault, NULL);
	}
	told = open(told_file, O_WRONLY | O_CREAT | O_APPEND, 0644);
	(void) !write(told, ".", 1);
	close(told);
	errno = save_errno;
}

static void __attribute__((constructor))
listen_to_signal(void)
{
	struct sigaction action = {0};

	action.sa_handler = write_now;
	action.sa_flags = SA_RESTART;
	sigemptyset(&action.sa_mask);
	sigaction(SIGRTMIN, &action, NULL);
}
