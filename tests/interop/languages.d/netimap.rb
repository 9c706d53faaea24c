# Ruby's own net/smtp and net/imap.
require 'net/imap'
require 'net/smtp'
require 'openssl'
host, user, pass = ARGV
tls = OpenSSL::SSL::SSLContext.new
tls.verify_mode = OpenSSL::SSL::VERIFY_NONE
post = Net::SMTP.new(host, 2587)
post.enable_starttls(tls)
post.start('localhost', user, pass, :login) do |s|
  (1..3).each do |n|
    subject = n == 2 ? '=?utf-8?B?R3LDvMOfZSDkvaDlpb0=?=' : "letter #{n}"
    s.send_message("From: #{user}\r\nTo: #{user}\r\nSubject: #{subject}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" \
                   "--b\r\n\r\nx\r\n--b\r\nContent-Disposition: attachment\r\n\r\ny\r\n--b--\r\n", user, user)
  end
end
box, copies = Net::IMAP.new(host, port: 2993, ssl: { verify_mode: OpenSSL::SSL::VERIFY_NONE }), Net::IMAP.encode_utf7('Kopien é')
box.authenticate('PLAIN', user, pass)
box.create(copies)
100.times { box.status('INBOX', ['MESSAGES'])['MESSAGES'] < 3 ? sleep(0.05) : break }
box.select('INBOX')
puts "messages #{box.responses['EXISTS'].last}"
found = box.search(['SUBJECT', '你好'.b], 'UTF-8')
letter = box.fetch(found, %w[ENVELOPE BODYSTRUCTURE])[0].attr
word = letter['ENVELOPE'].subject.gsub(/=\?utf-8\?B\?(.*?)\?=/i) { $1.unpack1('m') }.force_encoding('UTF-8')
puts "subject #{word} #{letter['BODYSTRUCTURE'].parts.length}"
box.store(1..2, '+FLAGS', [:Flagged, '$Work'])
box.copy(1..2, copies)
puts "copied #{box.status(copies, ['MESSAGES'])['MESSAGES']} #{box.search(['KEYWORD', '$Work']).length}"
box.uid_move(box.uid_search(['1']), copies)
box.store(1..-1, '+FLAGS', [:Deleted])
box.expunge
puts "left #{box.status('INBOX', ['MESSAGES'])['MESSAGES']} #{box.status(copies, ['MESSAGES'])['MESSAGES']}"
box.delete(copies)
box.logout
