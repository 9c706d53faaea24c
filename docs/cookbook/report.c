/* report: who did not get a letter, and why, by the delivery report on standard input. */
#include <posthouse/mime.h>
#include <stdio.h>

int main(void)
{
    struct ph_arena *arena = ph_arena_new(NULL, 64 << 20);
    struct ph_message *m;
    struct ph_view view;
    struct ph_report report;
    if (ph_mime_read(arena, 0, &m, NULL) || ph_message_view(arena, m, &view) || !view.report ||
        ph_report_parse(arena, m, view.report, &report)) {
        fprintf(stderr, "this is no report\n");
        return 1;
    }
    printf("by %.*s\n", PH_FMT(report.reporting_mta.value));
    for (const struct ph_report_recipient *r = report.recipients; r; r = r->next)
        printf("%.*s: %s (%.*s) %.*s\n", PH_FMT(r->final.value),
               r->action == PH_ACTION_FAILED ? "failed" : "not failed", PH_FMT(r->status),
               PH_FMT(r->diagnostic.value));
    return ph_arena_free(arena) != NULL;
}
