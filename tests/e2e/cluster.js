// cluster.js - a node cluster in its default mode: the primary accepts and hands connections to workers
const cluster = require('cluster'), http = require('http'), dgram = require('dgram');
const PORT = 9001, WORKERS = 3;

function get() {
	return new Promise((done) => {
		http.get({ port: PORT, host: '127.0.0.1', agent: false }, (r) => {
			let text = '';
			r.on('data', (d) => { text += d; });
			r.on('end', () => done(text));
		}).on('error', (e) => done(e.code));
	});
}

async function ask(n) {
	const answers = new Map();
	for (let i = 0; i < n; i += 20)
		for (const a of await Promise.all(Array.from({ length: 20 }, get)))
			answers.set(a, (answers.get(a) || 0) + 1);
	return answers;
}

async function datagrams(n) {
	const c = dgram.createSocket('udp4');
	let got = 0;
	c.on('message', () => got++);
	for (let i = 0; i < n; i++)
		c.send('x', PORT + 1, '127.0.0.1');
	for (let i = 0; i < 100 && got < n; i++)
		await new Promise((r) => setTimeout(r, 20));
	c.close();
	return got;
}

async function primary() {
	console.log('workers that answered', (await ask(200)).size);
	console.log('datagrams', await datagrams(30));
	const one = Object.values(cluster.workers)[0];
	one.process.kill('SIGKILL');
	await new Promise((r) => one.on('exit', r));
	console.log('then', (await ask(100)).size);
	cluster.disconnect(async () => {
		console.log('at last', await get());
		process.exit(0);
	});
}

if (cluster.isPrimary) {
	let n = 0;
	cluster.on('listening', (w, a) => { if (a.port === PORT && ++n === WORKERS) primary(); });
	for (let i = 0; i < WORKERS; i++)
		cluster.fork();
} else {
	const u = dgram.createSocket('udp4');
	u.on('message', (m, r) => u.send(m, r.port, r.address));
	u.bind(PORT + 1);
	http.createServer((q, r) => r.end(`worker ${process.pid}`)).listen(PORT);
	process.on('disconnect', () => { try { u.close(); } catch (e) { /* closed */ } });
}
