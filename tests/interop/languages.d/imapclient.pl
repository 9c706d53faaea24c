# Net::SMTP, and Mail::IMAPClient of libmail-imapclient-perl.
use strict;
use warnings;
use Encode;
use IO::Socket::SSL;
use Mail::IMAPClient;
use Net::SMTP;
my ($host, $user, $pass) = @ARGV;
my $post = Net::SMTP->new($host, Port => 2465, SSL => 1, SSL_verify_mode => 0) or die "$@";
$post->auth($user, $pass) or die $post->message;
for my $n (1 .. 3) {
    my $subject = $n == 2 ? '=?utf-8?B?R3LDvMOfZSDkvaDlpb0=?=' : "letter $n";
    $post->mail($user) && $post->to($user) && $post->data("From: $user\nTo: $user\nSubject: $subject\nMIME-Version: 1.0\n"
        . "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Disposition: attachment\n\ny\n--b--\n") or die $post->message;
}
$post->quit;
my $box = Mail::IMAPClient->new(Server => $host, Port => 2993, Ssl => [SSL_verify_mode => 0], User => $user, Password => $pass, Uid => 1) or die "$@";
my $copies = 'Kopien &AOk-';
$box->create($copies) or die "$@";
for (1 .. 100) { last if $box->message_count('INBOX') >= 3; select undef, undef, undef, 0.05 }
$box->select('INBOX') or die "$@";
print 'messages ', $box->message_count, "\n";
my @found = $box->search('CHARSET UTF-8 SUBJECT ' . $box->Quote(encode('UTF-8', "\x{4f60}\x{597d}")));
my $parts = $box->get_bodystructure($found[0]) or die "$@";
print 'subject ', encode('UTF-8', decode('MIME-Header', $box->subject($found[0]))), ' ', scalar(my @parts = $parts->bodystructure), "\n";
my @all = $box->search('ALL');
$box->store("$all[0],$all[1]", '+FLAGS ($Work)') or die "$@";
$box->copy($copies, @all[0, 1]) or die "$@";
my @work = $box->search('KEYWORD $Work');
print 'copied ', $box->message_count($copies), ' ', scalar(@work), "\n";
$box->move($copies, $all[0]) or die "$@";
$box->delete_message(@all[1, 2]);
$box->expunge or die "$@";
print 'left ', $box->message_count('INBOX'), ' ', $box->message_count($copies), "\n";
$box->delete($copies) or die "$@";
$box->logout;
