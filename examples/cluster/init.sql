-- Logins of the hosts; \password asks for the passwords, so that none stands in a file.
CREATE ROLE host_a LOGIN IN ROLE team_mail_leader;
CREATE ROLE host_b LOGIN IN ROLE team_mail_worker;
CREATE ROLE host_c LOGIN IN ROLE team_mail_worker;
