/*
 * cli/commands.h: the table of subcommands, and `paddock help`.
 *
 * A handler gets the subcommand's name as argv[0] and returns the exit status:
 * 0 done, 1 refused or failed, 2 usage; `run` returns its command's own.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* argv[0] is the program, argv[1] the subcommand. */
int command_main(int argc, char **argv);

int cmd_approvals(int argc, char **argv);
int cmd_approve(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_files(int argc, char **argv);
int cmd_image(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_snapshot(int argc, char **argv);
int cmd_fork(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_port(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_reject(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_server(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_egress(int argc, char **argv);
int cmd_secret(int argc, char **argv);
int cmd_token(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_replay(int argc, char **argv);

/* `paddock image`, which is a program of its own: src/image_tool.c. */
int image_main(int argc, char **argv);

#endif
