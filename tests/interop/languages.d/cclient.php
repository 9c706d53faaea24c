<?php /* PHP's imap_open, which is UW's c-client, of php-imap. It sends nothing by itself: its letters are appended. */
[, $host, $user, $pass] = $argv;
$server = "{{$host}:2993/imap/ssl/novalidate-cert}";
$copies = $server . 'Kopien &AOk-';
$box = imap_open($server . 'INBOX', $user, $pass) or exit(implode("\n", imap_errors()));
foreach ([1, 2, 3] as $n) {
    $subject = $n == 2 ? '=?utf-8?B?R3LDvMOfZSDkvaDlpb0=?=' : "letter $n";
    imap_append($box, $server . 'INBOX', "From: $user\r\nTo: $user\r\nSubject: $subject\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        . "--b\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment\r\n\r\ny\r\n--b--\r\n");
}
imap_createmailbox($box, $copies);
imap_ping($box);
echo 'messages ', imap_num_msg($box), "\n";
$found = imap_search($box, "SUBJECT \"\u{4f60}\u{597d}\"", SE_FREE, 'UTF-8');
echo 'subject ', iconv_mime_decode(imap_headerinfo($box, $found[0])->subject, 0, 'UTF-8'), ' ', count(imap_fetchstructure($box, $found[0])->parts), "\n";
imap_setflag_full($box, '1:2', '$Work');
imap_mail_copy($box, '1:2', 'Kopien &AOk-');
echo 'copied ', imap_status($box, $copies, SA_MESSAGES)->messages, ' ', count(imap_search($box, 'KEYWORD $Work')), "\n";
imap_mail_move($box, '1', 'Kopien &AOk-');
imap_expunge($box);
imap_delete($box, '1:*');
imap_expunge($box);
echo 'left ', imap_num_msg($box), ' ', imap_status($box, $copies, SA_MESSAGES)->messages, "\n";
imap_deletemailbox($box, $copies);
imap_close($box);
