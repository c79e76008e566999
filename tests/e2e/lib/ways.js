// The ways of a call that has an effect, each as far as it gets when something
// dies meanwhile, and the records that it makes.
import { email } from './paddock.js';

export const policy = (mode) => ({ tools: {
	'ticket.reply_draft': { risk: 'draft', commit: 'email.send' },
	'email.send': { risk: 'external_write', mode,
		idempotency: { key: 'args.subject', within: 'tenant' } } },
// So late that what is to die does with the call under way, once it has begun.
faults: { rules: [{ tool: 'email.send', kind: 'latency', ms: 300, nth: 1 }] } });

export const quiet = (p) => p.catch(() => undefined);

async function direct(d, run, args = email) {
	return quiet(d.tcp().call(run, 'email.send', args));
}

async function approved(d, run, args = email) {
	const held = direct(d, run, args);

	await quiet((async () => {
		await d.decide(await d.approval(run.run), 'approve');
	})());
	return held;
}

async function drafted(d, run) {
	const tool = (what, args) => quiet(d.tcp().call(run,
		`ticket.reply_draft.${what}`, args));
	const draft_id = (await tool('create_draft', email))?.body.draft_id;
	const held = tool('request_approval', { draft_id });

	await quiet((async () => {
		await d.decide(await d.approval(run.run), 'approve');
	})());
	await held;
	return tool('commit_approved_draft', { draft_id });
}

// Name, mode of email.send, what makes the call, and its records.
export const ways = [
	['direct', 'allow', direct, ['tool.proposed', 'policy.decision',
		'tool.started', 'tool.finished']],
	['approved', 'approve', approved, ['tool.proposed', 'policy.decision',
		'approval.requested', 'approval.decided', 'tool.started',
		'tool.finished']],
	['drafted', 'approve', drafted, ['draft.created', 'approval.requested',
		'approval.decided', 'draft.committed', 'tool.started',
		'tool.finished']],
];

export async function started(d, run) {
	return (await d.trace(run)).filter((e) => e.kind === 'tool.started')
		.length;
}
