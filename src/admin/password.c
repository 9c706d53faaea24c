/* Where passwords come from: a file, a generator, the terminal, or stdin. */
#include "house_verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

/* The first line, without its end. */
static int read_line(FILE *from, const char *what, char password[PH_PASSWORD_MAX + 1])
{
    char line[PH_PASSWORD_MAX + 3];
    size_t n = 0;
    int c;
    while ((c = getc(from)) != EOF && c != '\n' && n < sizeof line)
        line[n++] = (char)c;
    int failed = ferror(from), code = EX_OK;
    if (n && line[n - 1] == '\r')
        n--;
    if (failed)
        code = admin_fail(EX_IOERR, "%s can not be read", what);
    else if (n == 0)
        code = admin_fail(EX_DATAERR, "%s holds no password: its first line is empty", what);
    else if (n > PH_PASSWORD_MAX || memchr(line, 0, n))
        code = admin_fail(EX_DATAERR, "the password in %s is longer than %d octets or holds a NUL",
                          what, PH_PASSWORD_MAX);
    if (code == EX_OK) {
        memcpy(password, line, n);
        password[n] = '\0';
    }
    ph_wipe(line, sizeof line);
    return code;
}

static int read_file(const char *path, char password[PH_PASSWORD_MAX + 1])
{
    FILE *f = fopen(path, "re");
    if (!f)
        return admin_fail(EX_NOINPUT, "the password file %s can not be read: %s", path,
                          strerror(errno));
    setvbuf(f, NULL, _IONBF, 0); /* no copy of the password in a buffer that we can not wipe */
    int code = read_line(f, path, password);
    fclose(f);
    return code;
}

static int ask_once(const char *prompt, char password[PH_PASSWORD_MAX + 1])
{
    struct termios was, quiet;
    if (tcgetattr(STDIN_FILENO, &was) < 0)
        return admin_fail(EX_IOERR, "the terminal can not be used: %s", strerror(errno));
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(stderr, "%s: ", prompt);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    int code = read_line(stdin, "the terminal", password);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
    fputc('\n', stderr);
    return code;
}

static int ask(const char *address, char password[PH_PASSWORD_MAX + 1])
{
    char prompt[PH_HOUSE_ADDRESS + 32], again[PH_PASSWORD_MAX + 1];
    snprintf(prompt, sizeof prompt, "Password for %.*s", PH_HOUSE_ADDRESS, address);
    int code = ask_once(prompt, password);
    if (code == EX_OK)
        code = ask_once("Again", again);
    if (code == EX_OK && strcmp(password, again))
        code = admin_fail(EX_DATAERR, "the two passwords are not the same; nothing was changed");
    ph_wipe(again, sizeof again);
    return code;
}

int house_password(const struct password_source *from, const char *address,
                   char password[PH_PASSWORD_MAX + 1])
{
    if (from->file && from->generate)
        return admin_fail(EX_USAGE, "--password-file and --generate exclude each other");
    if (from->generate) {
        char fresh[24];
        if (ph_password_generate(fresh) < 0)
            return admin_fail(EX_OSERR, "the kernel gives no random numbers");
        memcpy(password, fresh, sizeof fresh);
        return EX_OK;
    }
    if (from->file && strcmp(from->file, "-") != 0)
        return read_file(from->file, password);
    setvbuf(stdin, NULL, _IONBF, 0);
    return !from->file && isatty(STDIN_FILENO) ? ask(address, password)
                                               : read_line(stdin, "stdin", password);
}
