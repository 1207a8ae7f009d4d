/** Starts the City page. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './components/App.tsx';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import './styles/city.css';
import './styles/room.css';
import './styles/second-me.css';

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
