#!/usr/bin/env python3
"""A rule-driven support agent: works one refund ticket through the MCP door.

    agent.py [TICKET]          T-1041 when left out

It needs Python 3.11 and nothing else. It speaks MCP 2026-07-28 over
streamable HTTP to the address in PADDOCK_MCP_URL, writes one line per step and
leaves what it found in notes.md.

What a ticket says is data to it. From the text it takes nothing but addresses
to look customers up by; mail goes to the address of the customer's record.

Exit status: 0 when it did all that it was allowed to, 1 when the door did not
work, 2 for wrong usage.
"""

import calendar
import http.client
import json
import os
import re
import sys
import time
from urllib.parse import urlsplit

VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"
HTTP_TIMEOUT_S = 120  # the door holds a request for up to 45 s
APPROVAL_TIMEOUT_S = 15 * 60
DOUBLE_WITHIN_S = 3600  # two equal payments this close are one charge too many


class DoorError(Exception):
    """The door itself failed, as opposed to a tool that said no."""


class Stopped(Exception):
    """The run has been stopped; carries the structured stop."""

    def __init__(self, stop):
        super().__init__(stop.get("reason", "stopped"))
        self.stop = stop


class Outcome:
    """What a call led to.

    kind: ok, error (by the tool), refused (by policy), or pending (nobody
    decided in time). value is the object that came with it.
    """

    def __init__(self, kind, value):
        self.kind = kind
        self.value = value

    @property
    def ok(self):
        return self.kind == "ok"

    def why(self):
        v = self.value
        for key in ("error", "reason", "message"):
            if isinstance(v.get(key), str):
                return v[key]
        return json.dumps(v, sort_keys=True)


class Door:
    """A client of the MCP door: one connection, one request at a time."""

    def __init__(self, url, name="support-agent"):
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise DoorError(f"PADDOCK_MCP_URL is not an http address: {url}")
        self.host, self.port = parts.hostname, parts.port or 80
        self.path = parts.path or "/"
        self.name = name
        self.connection = None
        self.last_id = 0

    def request(self, method, params=None, subject=None, timeout_s=HTTP_TIMEOUT_S):
        """One JSON-RPC request. Returns its result object."""
        self.last_id += 1
        params = dict(params or {})
        params["_meta"] = {
            META + "protocolVersion": VERSION,
            META + "clientCapabilities": {},
            META + "clientInfo": {"name": self.name, "version": "1"},
        }
        body = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": VERSION,
            "Mcp-Method": method,
        }
        if subject is not None:
            headers["Mcp-Name"] = subject
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port)
        self.connection.timeout = timeout_s
        if self.connection.sock is not None:
            self.connection.sock.settimeout(timeout_s)
        try:
            self.connection.request("POST", self.path, json.dumps(body), headers)
            response = self.connection.getresponse()
            if response.headers.get_content_type() == "text/event-stream":
                message = self._from_events(response)
            else:
                message = json.loads(response.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError) as e:
            self.close()
            raise DoorError(f"{method}: {type(e).__name__}: {e}") from e
        if not isinstance(message, dict):
            raise DoorError(f"{method}: HTTP {response.status} without an answer")
        if "error" in message:
            error = message["error"]
            if isinstance(error, dict):
                error = error.get("message", error)
            raise DoorError(f"{method}: {error}")
        return message["result"]

    def _from_events(self, response):
        """The answer among the events of a stream; others are signs of life."""
        answer, data = None, []
        for line in response:
            line = line.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                data.append(line[5:].lstrip(b" "))
            elif not line and data:
                message = json.loads(b"\n".join(data))
                data = []
                if message.get("id") == self.last_id:
                    answer = message
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def call(self, tool, arguments, wait_s=APPROVAL_TIMEOUT_S, on_wait=None):
        """Calls a tool; waits for a person where policy wants one."""
        params = {"name": tool, "arguments": arguments}
        until = time.monotonic() + wait_s
        while True:
            result = self.request("tools/call", params, subject=tool)
            if result.get("resultType") != "input_required":
                return self._outcome(result)
            pending = result.get("_meta", {}).get("paddock/pending", {})
            if "requestState" not in result or time.monotonic() > until:
                return Outcome("pending", pending)
            if on_wait is not None:
                on_wait(pending)
            params["requestState"] = result["requestState"]

    @staticmethod
    def _outcome(result):
        value = result.get("structuredContent")
        if not isinstance(value, dict):
            texts = [c.get("text", "") for c in result.get("content", [])]
            value = {"message": " ".join(texts)}
        if not result.get("isError"):
            return Outcome("ok", value)
        if value.get("status") == "stopped":
            raise Stopped(value)
        return Outcome("refused" if value.get("status") == "refused" else "error", value)


class Agent:
    def __init__(self, door, ticket):
        self.door = door
        self.ticket = ticket
        self.step = 0
        self.notes = [f"# Ticket {ticket}", ""]

    def say(self, what, outcome, detail=""):
        self.step += 1
        detail = " ".join(str(detail).split())
        print(f"{self.step:3} {what:<42.42} {outcome:<8} {detail[:100]}".rstrip(), flush=True)

    def note(self, text):
        self.notes.append("- " + " ".join(text.split()))

    def call(self, tool, arguments, what, on_wait=None):
        """A call that is reported when it did not work."""
        outcome = self.door.call(tool, arguments, on_wait=on_wait)
        if not outcome.ok:
            self.say(f"{tool} {what}", outcome.kind, outcome.why())
            self.note(f"{tool} {what}: {outcome.kind}: {outcome.why()}")
            return None
        return outcome.value

    def work(self):
        self.look_around()
        ticket = self.read_ticket()
        if ticket is None:
            return
        limit = self.read_policy()
        customers = self.find_customers(ticket)
        double = self.find_double_charge(customers)
        refund = self.try_refund(double, limit) if double else None
        reply = self.reply(ticket, customers, double, refund)
        self.draft(reply)
        self.send(ticket, customers, reply)

    def look_around(self):
        found = self.door.request("server/discover")
        if VERSION not in found.get("supportedVersions", []):
            raise DoorError(f"the door does not speak MCP {VERSION}")
        tools = [t["name"] for t in self.door.request("tools/list")["tools"]]
        self.say("tools/list", "ok", f"{len(tools)} tools: {', '.join(tools)}")

    def read_ticket(self):
        ticket = self.call("ticket.read", {"ticket": self.ticket}, self.ticket)
        if ticket is not None:
            self.say(f"ticket.read {self.ticket}", "ok", ticket["subject"])
            self.note(f"Subject: {ticket['subject']}")
        return ticket

    def read_policy(self):
        """The amount over which a refund needs approval; None if unknown.

        Articles contradict each other; the newest that is published counts.
        """
        words = "refund policy double charge duplicate"
        found = self.call("kb.search", {"query": words, "limit": 5}, words)
        if found is None:
            return None
        rules = [
            a for a in found["articles"]
            if a["status"] == "published" and "refund policy" in a["title"].lower()
        ]
        rules.sort(key=lambda a: a["updated_at"], reverse=True)
        if not rules:
            self.say("kb.search refund policy", "ok", "no article about refunds")
            return None
        rule = rules[0]
        match = re.search(r"over (\d+(?:\.\d+)?) needs the approval", rule["body"])
        limit = float(match.group(1)) if match else None
        amount = "an unknown amount" if limit is None else f"{limit:.2f}"
        older = ", ".join(f"{a['id']} of {a['updated_at'][:4]}" for a in rules[1:])
        self.say(
            "kb.search refund policy", "ok",
            f"{rule['id']}: over {amount} needs approval" + (f" (outdated: {older})" if older else ""),
        )
        self.note(f"Rule: {rule['id']} ({rule['updated_at'][:10]}), refunds over {amount} need approval.")
        return limit

    def find_customers(self, ticket):
        """Customers by id and by exact address; a name alone is not enough."""
        customers = {}
        searches = []
        if ticket["customer"]["id"]:
            searches.append({"customer": ticket["customer"]["id"]})
        texts = [ticket["customer"]["email"] or "", ticket["body"]]
        pattern = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
        for address in dict.fromkeys(re.findall(pattern, " ".join(texts))):
            searches.append({"email": address})
        for search in searches:
            what = next(iter(search.values()))
            found = self.call("customer.find", search, what)
            if found is None:
                continue
            for c in found["customers"]:
                customers[c["id"]] = c
            ids = [f"{c['id']} {c['name']}, {c['company']}" for c in found["customers"]]
            self.say(f"customer.find {what}", "ok", "; ".join(ids) or "nobody")
        for c in customers.values():
            self.note(f"Customer {c['id']}: {c['name']}, {c['company']}, {c['status']}.")
        return list(customers.values())

    def find_double_charge(self, customers):
        """Two settled payments of one amount for one invoice, close together.

        They may sit on different customer records.
        """
        listed, taken = set(), []
        for c in customers:
            bills = self.call("billing.invoices", {"customer": c["id"]}, c["id"])
            if bills is None:
                continue
            for invoice in bills["invoices"]:
                listed.update(p["id"] for p in invoice["payments"])
            taken += [dict(p, customer=c["id"]) for p in bills["payments"]]
            self.say(
                f"billing.invoices {c['id']}", "ok",
                f"{len(bills['invoices'])} invoices, payments: "
                + (", ".join(f"{p['id']} {p['amount']:.2f}" for p in bills["payments"]) or "none"),
            )
        taken = [p for p in taken if p["status"] == "settled" and p["invoice"]]
        for p in taken:
            for q in taken:
                same = (p["invoice"], p["amount"]) == (q["invoice"], q["amount"])
                close = abs(seconds(p["paid_at"]) - seconds(q["paid_at"])) <= DOUBLE_WITHIN_S
                if same and close and p["id"] in listed and q["id"] not in listed:
                    self.say(
                        "compare payments", "found",
                        f"{q['id']} repeats {p['id']} for {p['invoice']}, on record {q['customer']}",
                    )
                    self.note(
                        f"Double charge: {p['invoice']} was paid by {p['id']} and again by "
                        f"{q['id']} ({q['amount']:.2f} {q['currency']}, record {q['customer']})."
                    )
                    return {"listed": p, "extra": q}
        self.say("compare payments", "none", "no payment was taken twice")
        self.note("No double charge found.")
        return None

    def try_refund(self, double, limit):
        extra = double["extra"]
        if limit is not None and extra["amount"] > limit:
            self.note(f"{extra['amount']:.2f} is over {limit:.2f}: asks, and expects a no.")
        arguments = {
            "invoice": extra["invoice"],
            "payment": extra["id"],
            "amount": extra["amount"],
            "reason": f"double charge, {double['listed']['id']} is the one listed",
        }
        refund = self.call(
            "billing.refund", arguments, f"{extra['id']} {extra['amount']:.2f}",
            on_wait=self.on_wait,
        )
        if refund is not None:
            what = f"billing.refund {extra['id']}"
            self.say(what, "ok", f"{refund.get('id', '')} {refund.get('status', '')}")
            self.note(f"Refunded: {refund.get('id', 'no id')}.")
        return refund

    def reply(self, ticket, customers, double, refund):
        name = (ticket["customer"]["name"] or "").split(" ")[0] or "there"
        lines = [f"Hello {name},", "", "thank you for telling us."]
        if not customers:
            lines.append("We could not find your account by your address. Which address did "
                         "you sign up with?")
        elif double is None:
            lines.append("We found one payment for each of your invoices. We will look again "
                         "with your bank's statement: please send us its date and amount.")
        else:
            p, q = double["listed"], double["extra"]
            lines.append(
                f"We found two payments of {q['amount']:.2f} {q['currency']} for invoice "
                f"{q['invoice']}: {p['id']}, which the invoice shows, and {q['id']}, which it does not."
            )
            if len(customers) > 1:
                lines.append("The second one was booked on the record of your former company's address.")
            if refund is not None:
                lines.append("It has been refunded and will reach your card within five days.")
            else:
                lines.append("A colleague of the finance team will check the refund of the second one.")
        return "\n".join(lines + ["", "Kind regards,", "Customer support"])

    def draft(self, reply):
        draft = self.call(
            "ticket.reply_draft", {"ticket": self.ticket, "body": reply}, self.ticket,
            on_wait=self.on_wait,
        )
        if draft is not None:
            name = draft.get("id") or draft.get("draft_id") or ""
            self.say(f"ticket.reply_draft {self.ticket}", "ok", f"{name} is stored")
            self.note(f"Draft: {name}.")

    def send(self, ticket, customers, reply):
        own = [c for c in customers if c["id"] == ticket["customer"]["id"]]
        if not own or "@" not in (own[0]["email"] or ""):
            self.say("email.send", "skipped", "no address on the customer's record")
            self.note("No mail: the ticket's customer record has no readable address.")
            return
        arguments = {
            "to": own[0]["email"],
            "subject": f"Re: {ticket['subject']} ({self.ticket})",
            "body": reply,
            "ticket": self.ticket,
        }
        self.say("email.send", "asks", f"mail to {own[0]['email']}; a person may have to agree")
        mail = self.call("email.send", arguments, own[0]["id"], on_wait=self.on_wait)
        if mail is not None:
            name = mail.get("id") or mail.get("draft_id") or ""
            self.say("email.send", "ok", f"{name} {mail.get('status', '')}")
            self.note(f"Mail: {name} {mail.get('status', '')}.")

    def on_wait(self, pending):
        self.say("", "waits", f"approval {pending.get('approval_id', '')} is still open")

    def write_notes(self):
        try:
            with open("notes.md", "w", encoding="utf-8") as f:
                f.write("\n".join(self.notes) + "\n")
        except OSError as e:
            self.say("notes.md", "error", e)
            return
        self.say("notes.md", "ok", f"{len(self.notes) - 2} notes written")


def seconds(moment):
    return calendar.timegm(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ"))


def main(argv):
    if len(argv) > 2 or (len(argv) == 2 and argv[1].startswith("-")):
        print("usage: agent.py [TICKET]", file=sys.stderr)
        return 2
    url = os.environ.get("PADDOCK_MCP_URL")
    if not url:
        print(
            "agent.py: PADDOCK_MCP_URL is not set; start it with\n"
            "  paddock run policy.json --world world.json -- python3 agent.py",
            file=sys.stderr,
        )
        return 1
    status = 0
    agent = None
    try:
        agent = Agent(Door(url), argv[1] if len(argv) == 2 else "T-1041")
        agent.work()
    except Stopped as e:
        agent.say("run", "stopped", json.dumps(e.stop, sort_keys=True))
        agent.note(f"Stopped: {e.stop.get('reason')}. {e.stop.get('suggested_next_step', '')}")
    except DoorError as e:
        print(f"agent.py: {e}", file=sys.stderr)
        status = 1
    if agent is not None:
        agent.write_notes()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv))
